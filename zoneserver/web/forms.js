// A form for every action of a game, made from its schema.

import { cut } from "/words.js";

const PICKED_MAX = 40;
const bytesOf = (text) => new TextEncoder().encode(text).length;

/** Makes an element: `make("button", { type: "button" }, "Send")`. A value that is null is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A whole number as the protocol carries it: a BigInt beyond 2^53. */
function whole(text) {
  const value = BigInt(text);
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Reads one value of this type from a text. Throws an Error that says what is wrong. */
export function read(type, text, world) {
  const fits = (value) => {
    if (type.min !== undefined && value < type.min) throw new Error(`at least ${type.min}`);
    if (type.max !== undefined && value > type.max) throw new Error(`at most ${type.max}`);
    return value;
  };
  switch (type.type) {
    case "int":
      if (!/^[+-]?\d+$/.test(text.trim())) throw new Error("a whole number");
      return fits(whole(text.trim().replace(/^\+/, "")));
    case "float":
      if (!text.trim() || !Number.isFinite(Number(text))) throw new Error("a number");
      return fits(Number(text));
    case "bool":
      if (!/^(true|false|yes|no|1|0)$/i.test(text.trim())) throw new Error("true or false");
      return /^(true|yes|1)$/i.test(text.trim());
    case "bytes": {
      const digits = text.replaceAll(" ", "");
      if (digits.length % 2 || /[^0-9a-f]/i.test(digits))
        throw new Error("bytes as pairs of hexadecimal digits, as in 00ff");
      if (digits.length / 2 > type.bytes_max) throw new Error(`at most ${type.bytes_max} bytes`);
      return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    }
    case "choice": {
      const plain = (value) => value.trim().toLowerCase();
      const ways = [
        (value) => quoted(value) === text,
        (value) => String(value) === text,
        (_, at) => type.names && plain(type.names[at]) === plain(text),
        (value) => String(value).trim() === text.trim(),
      ];
      const fitting = ways.find((fits) => type.values.some(fits));
      if (!fitting) throw new Error(`one of ${(type.names ?? type.values.map((each) => label(type, each))).join(", ")}`);
      return type.values.find(fitting);
    }
    case "player":
    case "thing": {
      const slot = world.slot(type, text.trim());
      if (slot === null)
        throw new Error(
          text.trim() ? `nobody here is called ${text.trim()}` : `there is no ${type.kind ?? type.type} here`,
        );
      return slot;
    }
    case "list": {
      const items = text.trim() ? text.split(",").map((part) => read(type.items, part.trim(), world)) : [];
      if (items.length > type.items_max) throw new Error(`at most ${type.items_max} items`);
      return items;
    }
    default:
      if (bytesOf(text) > (type.bytes_max ?? Infinity))
        throw new Error(`at most ${type.bytes_max} bytes; this has ${bytesOf(text)}`);
      if (!text && type.default !== "") throw new Error("at least one character");
      return text;
  }
}

/** A value of a choice as nothing else is written: a text in quotation marks. */
const quoted = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

/** A value of a choice as it is shown: in quotation marks where another one, or none, would look the same. */
function label({ values }, value) {
  const text = String(value);
  const isPlain = text && text.trim() === text && values.filter((each) => String(each).trim() === text).length === 1;
  return isPlain ? text : quoted(value);
}

/** What a field asks for, in a few words. */
function hint(type) {
  switch (type.type) {
    case "int":
    case "float":
      return type.min !== undefined && type.max !== undefined
        ? `${type.min} to ${type.max}`
        : type.type === "int"
          ? "whole number"
          : "number";
    case "str":
      return `at most ${type.bytes_max} bytes`;
    case "bytes":
      return `at most ${type.bytes_max} bytes, as in 00ff`;
    case "player":
      return "a player";
    case "thing":
      return type.kind ? `a ${type.kind}` : "a thing";
    case "list":
      return `up to ${type.items_max}, with commas: ${hint(type.items) || type.items.values?.map((each) => label(type.items, each)).join(", ")}`;
    default:
      return "";
  }
}

/** One field of a form. `value()` reads it, or throws an Error. */
class Field {
  constructor(parameter, world, id) {
    Object.assign(this, { parameter, world, chosen: null });
    const first = parameter.default ?? "";
    const items = (value) => (parameter.items.type === "choice" ? label(parameter.items, value) : value);
    this.input = this.makeInput(Array.isArray(first) ? first.map(items).join(", ") : String(first), id);
    this.none = parameter.nullable
      ? make("input", {
          type: "checkbox",
          checked: parameter.default === null || !("default" in parameter),
          change: () => this.showNone(),
          "aria-label": `${parameter.name}: none`,
        })
      : null;
    this.problem = make("small", { class: "problem", id: `${id}-problem` });
    const words = hint(parameter);
    this.element = make(
      "div",
      { class: `field ${parameter.type}` },
      make("label", { for: id }, parameter.name, words ? make("small", { class: "muted" }, ` ${words}`) : null),
      make(
        "span",
        { class: "inputs" },
        this.input,
        this.slider ?? null,
        this.none ? make("label", { class: "check" }, this.none, " none") : null,
      ),
      this.problem,
    );
    this.showNone();
    this.first = this.state;
  }

  /** The input of the visitor. */
  get state() {
    const { value, checked, selectedIndex } = this.input;
    return [value, checked, selectedIndex, this.none?.checked].join("\n");
  }

  /** Whether the field has a default, and is as it was at first: the server then knows the value better. */
  get isLeft() {
    return "default" in this.parameter && this.state === this.first;
  }

  makeInput(first, id) {
    const { parameter } = this;
    const common = { id, name: parameter.name, "aria-describedby": `${id}-problem`, autocomplete: "off" };
    const isSafe = Number.isSafeInteger(parameter.min) && Number.isSafeInteger(parameter.max);
    const isShort = parameter.type === "int" && isSafe && parameter.max - parameter.min <= 300;
    switch (parameter.type) {
      case "bool":
        return make("input", { ...common, type: "checkbox", checked: first === "true" });
      case "choice":
        return make(
          "select",
          common,
          ...parameter.values.map((value, index) =>
            make(
              "option",
              { value: String(value), selected: value === parameter.default },
              parameter.names?.[index] ?? label(parameter, value),
            ),
          ),
        );
      case "thing":
        return make(
          "select",
          { ...common, focus: () => this.offer(), change: () => this.see() },
          make("option", { value: "" }, `the nearest ${parameter.kind ?? "thing"}`),
        );
      case "player":
        this.list = make("datalist", { id: `${id}-list` });
        document.body.append(this.list);
        return make("input", {
          ...common,
          list: `${id}-list`,
          placeholder: "the nearest player",
          spellcheck: "false",
          focus: () => this.offer(),
          change: () => this.see(),
        });
      case "int":
      case "float": {
        const bounds = { min: parameter.min, max: parameter.max, step: parameter.type === "int" ? 1 : "any" };
        const value = first || (parameter.min > 0 ? parameter.min : 0);
        const input = make("input", {
          ...common,
          ...bounds,
          type: "number",
          value,
          // An input of this type cannot show inf or nan.
          placeholder: first || null,
          inputmode: parameter.min >= 0 && isShort ? "numeric" : null,
          input: () => this.showValue(),
        });
        if (isShort && parameter.max - parameter.min > 1) {
          this.slider = make("input", {
            ...bounds,
            type: "range",
            value,
            tabindex: -1,
            "aria-hidden": "true",
            input: () => this.set(this.slider.value),
          });
        }
        return input;
      }
      default:
        return make("input", {
          ...common,
          type: "text",
          value: first,
          // No character takes less than a byte.
          maxlength: parameter.type === "str" ? parameter.bytes_max : null,
          spellcheck: parameter.type === "str" ? null : "false",
        });
    }
  }

  /** Offers those who are near. */
  offer() {
    const { parameter, world } = this;
    const near = world.near(parameter, PICKED_MAX);
    if (parameter.type === "player")
      this.list.replaceChildren(...near.map(({ name }) => make("option", { value: name })));
    else {
      const chosen = this.input.value;
      this.input.replaceChildren(
        this.input.firstChild,
        ...near.map(({ slot, kind, distance }) =>
          make(
            "option",
            { value: slot, selected: String(slot) === chosen },
            `${kind} ${slot} · ${Math.round(distance)} away`,
          ),
        ),
      );
    }
  }

  /** Takes over what was chosen in the picture, if it is of this type. */
  choose(choice) {
    const { parameter } = this;
    if (parameter.type === "player" && choice.name) this.input.value = choice.name;
    else if (parameter.type === "thing" && choice.kind && (!parameter.kind || parameter.kind === choice.kind)) {
      this.offer();
      if (![...this.input.options].some((option) => option.value === String(choice.slot)))
        this.input.append(make("option", { value: choice.slot }, `${choice.kind} ${choice.slot}`));
      this.input.value = String(choice.slot);
    } else return;
    this.chosen = choice;
    if (this.none) this.none.checked = false;
    this.showNone();
  }

  /** Remembers a choice by hand: the player or the thing that the input names. */
  see() {
    this.chosen = this.world.entity(this.parameter, this.input.value);
  }

  /** Goes back to the nearest one if the chosen player or thing has left the zone. */
  forget() {
    const { chosen, input } = this;
    if (!chosen || chosen.isPresent) return;
    this.chosen = null;
    if (input.value === (chosen.name ?? String(chosen.slot))) input.value = "";
  }

  set(value) {
    this.input.value = String(value);
    this.showValue();
  }

  /** Begins with any value but the least, where the range is small. */
  pick() {
    const { min, max } = this.parameter;
    if (this.slider && !("default" in this.parameter)) this.set(min + 1 + Math.floor(Math.random() * (max - min)));
  }

  showValue() {
    if (!this.slider) return;
    this.slider.value = this.input.value;
    // The colours of a picture are those of play.css.
    if (/colou?r/i.test(this.parameter.name) && this.parameter.max < 16)
      this.slider.style.accentColor = `var(--pixel-${this.input.value})`;
  }

  showNone() {
    this.input.disabled = Boolean(this.none?.checked);
    if (this.slider) this.slider.disabled = this.input.disabled;
  }

  value() {
    const { parameter, input } = this;
    this.complain("");
    if (this.none?.checked) return null;
    if (parameter.type === "bool") return input.checked;
    // Two values may be written alike.
    if (parameter.type === "choice") return parameter.values[input.selectedIndex];
    try {
      return read(parameter, input.value, this.world);
    } catch (error) {
      this.complain(error.message);
      throw error;
    }
  }

  complain(text) {
    this.problem.textContent = text;
    this.input.toggleAttribute("aria-invalid", Boolean(text));
  }
}

/** The form of one action. `send(action, values)` resolves with the answer, or rejects with the refusal. */
export class ActionForm {
  constructor(action, world, send) {
    Object.assign(this, { action, send });
    this.fields = action.parameters.map(
      (parameter, index) => new Field(parameter, world, `action-${action.name}-${index}`),
    );
    this.outcome = make("output", { class: "outcome" });
    this.element = make(
      "form",
      { class: "action", novalidate: true, "data-action": action.name, submit: (event) => this.submit(event) },
      make(
        "header",
        {},
        make("h4", {}, action.name, action.private ? make("small", { class: "tag" }, "private") : null),
        make("button", { type: "submit", "aria-label": `Send ${action.name}` }, "Send"),
      ),
      action.doc ? make("p", { class: "muted" }, action.doc.replaceAll("`", "")) : null,
      ...this.fields.map((field) => field.element),
      this.outcome,
    );
  }

  async submit(event) {
    event?.preventDefault();
    const values = [];
    // What is left at its default is left out with all that follows it.
    const given = this.fields.slice(0, this.fields.findLastIndex((field) => !field.isLeft) + 1);
    for (const field of this.fields) field.complain("");
    for (const field of given) {
      try {
        values.push(field.value());
      } catch (error) {
        field.input.focus();
        return this.tell("bad", `${field.parameter.name}: ${error.message}`);
      }
    }
    this.tell("", "sent …");
    try {
      const answer = await this.send(this.action, values);
      return this.tell("good", this.action.private ? `answer: ${answer || "nothing"}` : "It happened.");
    } catch (refusal) {
      return this.tell(
        "bad",
        cut(refusal.code ? `${refusal.code}${refusal.text ? `: ${refusal.text}` : ""}` : String(refusal.message)),
      );
    }
  }

  tell(mood, text) {
    this.outcome.className = `outcome ${mood}`;
    this.outcome.textContent = text;
  }

  remove() {
    this.element.remove();
    for (const field of this.fields) field.list?.remove();
  }
}
