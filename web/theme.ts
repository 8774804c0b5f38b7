import { element } from "./dom.js";

const key = "cria-theme";

/** Light, dark, or what the system says; remembered where the browser lets a page do that. */
export function setUpTheme(): void {
  const select = element("theme", HTMLSelectElement);
  const show = () => {
    if (select.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
  };
  const stored = remembered();
  if ([...select.options].some(({ value }) => value === stored)) select.value = stored!;
  show();
  select.addEventListener("change", () => {
    show();
    try {
      localStorage.setItem(key, select.value);
    } catch {
      // a page that may not store anything forgets it
    }
  });
}

function remembered(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
