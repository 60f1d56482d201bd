// The rules that the scripts of the views share; `node --test` runs this, and test_common_js.py runs that.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

// By its text: Node takes a file named .js for a module only since release 22.
const text = await readFile(new URL("../../../docmail/widgets/parts/common.js", import.meta.url), "utf-8");
const { followAddress, impliedSecurity, keepKeys, statesOf, until } = await import(
  `data:text/javascript,${encodeURIComponent(text)}`
);

test("a state holds if one of its rules does", () => {
  const rules = [
    { state: "token", field: "sign_in", test: "is", value: 0 },
    { state: "token", field: "sign_in", test: "is", value: 1 },
    { state: "asks-address", field: "username", test: "lacks", value: "@" },
  ];
  assert.deepEqual(statesOf(rules, { sign_in: 0, username: "" }), { token: true, "asks-address": false });
  assert.deepEqual(statesOf(rules, { sign_in: 1, username: "u1" }), { token: true, "asks-address": true });
  assert.deepEqual(statesOf(rules, { sign_in: 2, username: "a@b" }), { token: false, "asks-address": false });
});

test("a port implies the security that the kernel says, chosen or typed", () => {
  const follow = {
    chosen: "port",
    typed: "port_number",
    ports: ["587", "465"],
    places: { 587: 0, 465: 1 },
    otherwise: 0,
  };
  assert.equal(impliedSecurity({ port: 0, port_number: "465" }, follow), 0);
  assert.equal(impliedSecurity({ port: 1, port_number: "" }, follow), 1);
  assert.equal(impliedSecurity({ port: 2, port_number: " 465 " }, follow), 1);
  assert.equal(impliedSecurity({ port: 2, port_number: "2525" }, follow), 0);
  const typed = { chosen: "", typed: "mailbox_port", ports: [], places: { 993: 1 }, otherwise: 0 };
  assert.equal(impliedSecurity({ mailbox_port: "993 " }, typed), 1);
  assert.equal(impliedSecurity({ mailbox_port: "" }, typed), 0);
});

test("the followers of the email address follow it until they are changed", () => {
  const followers = ["username", "http_reply_to"];
  const memory = { address: "", typed: false };
  const typed = { email_address: "a@b.example", username: "", http_reply_to: "office@b.example" };
  assert.deepEqual(followAddress(memory, typed, followers, "email_address"), { username: "a@b.example" });
  assert.deepEqual(memory, { address: "a@b.example", typed: true });
  const own = { ...typed, username: "u1" };
  assert.deepEqual(followAddress(memory, own, followers, "username"), {});
  assert.deepEqual(followAddress(memory, { ...own, email_address: "c@d.example" }, followers, "email_address"), {});
});

test("a username that is an address becomes the email address, unless that was typed itself", () => {
  const followers = ["username"];
  const memory = { address: "", typed: false };
  const values = { email_address: "", username: "a@b.example" };
  assert.deepEqual(followAddress(memory, values, followers, "username"), { email_address: "a@b.example" });
  const typed = { address: "c@d.example", typed: true };
  assert.deepEqual(followAddress(typed, { ...values, email_address: "c@d.example" }, followers, "username"), {});
  assert.deepEqual(followAddress({ address: "", typed: false }, values, [], "username"), {});
});

test("JupyterLab does not see the keys that are pressed in a form, but Control+S", () => {
  const element = new EventTarget();
  const stopped = [];
  const press = (key, ctrlKey = false) => {
    const event = Object.assign(new Event("keydown"), { key, ctrlKey, metaKey: false });
    event.stopPropagation = () => stopped.push(key);
    element.dispatchEvent(event);
  };
  const release = keepKeys(element);
  press("d");
  press("s", true);
  press("Enter", true);
  release();
  press("x");
  assert.deepEqual(stopped, ["d", "Enter"]);
});

test("waiting ends when the condition holds, the view is closed, or time is up", async () => {
  let looks = 0;
  assert.equal(await until(() => ++looks > 2, () => false), true);
  assert.equal(await until(() => false, () => true), false);
  assert.equal(await until(() => false, () => false, 50), false);
});
