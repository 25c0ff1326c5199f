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
  if (chosen) told.textContent = `${chosen} of ${all.length} chosen`;
  else told.textContent = told.dataset.chosen;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-choose-all]")) {
    for (const box of boxes()) box.checked = event.target.checked;
  } else if (!event.target.matches('input[form="chosen"]')) return;
  count();
});
// A browser restores what was checked when one goes back to the page.
addEventListener("pageshow", count);
