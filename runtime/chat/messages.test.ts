import { expect, it } from "vitest";
import { ChatError } from "../errors.js";
import { checkedMessages } from "./messages.js";

it("checkedMessages() copies role and content", () => {
  const message = { role: "user", content: "Hi" } as const;
  const [copy] = checkedMessages([message]);
  expect(copy).toEqual(message);
  expect(copy).not.toBe(message);
});

it.each([
  ["messages", "Hi"],
  ["messages", undefined],
  ["messages[0].role", [{ role: "tool", content: "x" }]],
  ["messages[1].role", [{ role: "user", content: "x" }, { content: "x" }]],
  ["messages[0].content", [{ role: "user", content: 5 }]],
  ["messages[0].content", [{ role: "user" }]],
  ["name", [{ role: "user", content: "x", name: "Eve" }]],
  ["null", [null]],
])("checkedMessages() refuses, naming %s: %j", (name, messages) => {
  const check = () => checkedMessages(messages as never);
  expect(check).toThrow(TypeError);
  expect(check).toThrow(name);
});

it.each([[[]], [[{ role: "user", content: " \n" }]]])(
  "checkedMessages() refuses %j: nothing is said",
  (messages) => {
    expect(() => checkedMessages(messages as never)).toThrow(ChatError);
  },
);
