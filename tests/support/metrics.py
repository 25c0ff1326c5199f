"""What `/metrics` says, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[str, float]:
    """Return each sample as `name{label="value",…}`; fail on what is no metric, or there twice."""
    families = list(text_string_to_metric_families(text))
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found
            found[name] = sample.value
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return found
