// The class picker: a text field with a list that is searched while one types (the combobox pattern of WAI-ARIA).

const SHOWN = 60;

export class Picker {
  constructor(input, list) {
    this.input = input;
    this.list = list;
    this.labels = [];
    this.at = -1;
    input.addEventListener("input", () => this.open());
    input.addEventListener("click", () => this.open());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // or the field would lose the focus
    list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(item.textContent);
    });
  }

  /** What is written, as a class: the one so called, else the best that is found; without a word any of them. */
  get label() {
    const word = this.input.value.trim().toLowerCase();
    if (!word) return this.labels[Math.floor(Math.random() * this.labels.length)];
    return this.found(word)[0] ?? word;
  }

  /** Classes with the word in them: the very word first, then those that begin with it, in words or in all. */
  found(word) {
    const rank = (label) => {
      const name = label.toLowerCase();
      if (name === word) return 0;
      if (name.startsWith(word)) return 1;
      if (name.includes(` ${word}`)) return 2;
      return name.includes(word) ? 3 : 4;
    };
    return this.labels.filter((label) => rank(label) < 4).sort((a, b) => rank(a) - rank(b) || (word ? a.length - b.length : 0));
  }

  open() {
    const labels = this.found(this.input.value.trim().toLowerCase()).slice(0, SHOWN);
    this.list.replaceChildren(...labels.map((label, i) => {
      const item = Object.assign(document.createElement("li"), { id: `class-${i}`, role: "option", textContent: label });
      item.setAttribute("aria-selected", "false");
      return item;
    }));
    if (!labels.length) {
      this.list.append(Object.assign(document.createElement("li"), { className: "none", role: "option", textContent: "no such class" }));
    }
    this.list.hidden = false;
    this.list.scrollTop = 0;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(-1);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.at = -1;
  }

  mark(at) {
    const items = [...this.list.querySelectorAll("[id]")];
    this.at = Math.min(at, items.length - 1);
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === this.at)));
    if (this.at < 0) return this.input.removeAttribute("aria-activedescendant");
    items[this.at].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", items[this.at].id);
  }

  choose(label) {
    this.input.value = label;
    this.close();
  }

  key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.list.hidden) this.open();
      this.mark(Math.max(0, this.at + (event.key === "ArrowDown" ? 1 : -1)));
    } else if (event.key === "Enter" && this.at >= 0) {
      event.preventDefault();
      this.choose(this.list.querySelectorAll("[id]")[this.at].textContent);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      this.close();
    } else if (event.key === "Enter") this.close();
  }
}
