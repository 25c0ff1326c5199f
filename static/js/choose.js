// Rows of a list that are chosen together: all of a page at once, and how many there are.

const boxes = () => [...document.querySelectorAll('input[form="chosen"][type=checkbox]')];

function count() {
  const told = document.querySelector("[data-chosen]");
  if (!told) return;
  const all = boxes();
  const chosen = all.filter((box) => box.checked).length;
  const every = document.querySelector("[data-choose-all]");
  every.checked = chosen > 0 && chosen === all.length;
  every.indeterminate = chosen > 0 && chosen < all.length;
  if (chosen) told.textContent = `${chosen} of ${all.length} chosen${lacking(all)}`;
  else told.textContent = told.dataset.chosen;
}

// Which of the chosen have no file of a slot that is asked for.
function lacking(all) {
  const checked = all.filter((box) => box.checked);
  const slots = document.getElementById("id_keys").value.split(" ");
  const has = (box, slot) => box.dataset.files.split(" ").includes(slot);
  const having = checked.filter((box) => slots.some((slot) => has(box, slot)));
  const missing = slots.flatMap((slot) => {
    const names = checked.filter((box) => !has(box, slot)).map((box) => box.dataset.name);
    const few = [...names.slice(0, 3), ...(names.length > 3 ? [`${names.length - 3} more`] : [])];
    return names.length ? [` No ${slot} key to download: ${few.join(", ")}.`] : [];
  });
  if (!missing.length) return "";
  return `, ${having.length} of them ${having.length === 1 ? "has" : "have"} a file.${missing.join("")}`;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-choose-all]")) {
    for (const box of boxes()) box.checked = event.target.checked;
  } else if (!event.target.matches('input[form="chosen"], #id_keys')) return;
  count();
});
// A browser restores what was checked when one goes back to the page.
addEventListener("pageshow", count);
