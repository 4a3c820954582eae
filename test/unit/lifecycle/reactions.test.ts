import { expect, test } from "vitest";
import { Reactions } from "../../../src/lifecycle/reactions.js";

const settled = () => new Promise(setImmediate);

/** Begins to wait for dependants of "echo", and tells whether that is over. */
function waiting(reactions: Reactions, dependants: readonly string[], signal = new AbortController().signal) {
  let over = false;
  void reactions.wait(dependants, new Set(["echo"]), signal).then(() => {
    over = true;
  });
  return async () => {
    await settled();
    return over;
  };
}

test("nobody is waited for who has no watch, or a watch of something else", async () => {
  const reactions = new Reactions();
  reactions.watchOpened("a", "other");
  reactions.watchOpened("stranger", "echo");
  expect(await waiting(reactions, ["a", "b"])()).toBe(true);
});

const ways: Record<string, (reactions: Reactions, closeWatch: () => void) => void> = {
  "reports its health": (reactions) => reactions.reported("a"),
  "discovers the type": (reactions) => reactions.discovered("a", "echo"),
  "closes its watch": (_, closeWatch) => closeWatch(),
  "is gone": (reactions) => reactions.gone("a"),
};

test.each(Object.entries(ways))("a dependant has reacted when it %s", async (_, react) => {
  const reactions = new Reactions();
  const close = reactions.watchOpened("a", "echo");
  const isOver = waiting(reactions, ["a"]);
  expect(await isOver()).toBe(false);
  react(reactions, close);
  expect(await isOver()).toBe(true);
});

test("discovering something else is no reaction, nor what another plugin does", async () => {
  const reactions = new Reactions();
  reactions.watchOpened("a", "echo");
  const isOver = waiting(reactions, ["a"]);
  reactions.discovered("a", "other");
  reactions.reported("b");
  expect(await isOver()).toBe(false);
});

test("with two watches open, closing one of them is no reaction, and closing it twice counts once", async () => {
  const reactions = new Reactions();
  const closeFirst = reactions.watchOpened("a", "echo");
  const closeSecond = reactions.watchOpened("a", "echo");
  const isOver = waiting(reactions, ["a"]);
  closeFirst();
  closeFirst();
  expect(await isOver()).toBe(false);
  closeSecond();
  expect(await isOver()).toBe(true);
});

test("all dependants are waited for", async () => {
  const reactions = new Reactions();
  reactions.watchOpened("a", "echo");
  reactions.watchOpened("b", "echo");
  const isOver = waiting(reactions, ["a", "b"]);
  reactions.reported("a");
  reactions.reported("a");
  expect(await isOver()).toBe(false);
  reactions.reported("b");
  expect(await isOver()).toBe(true);
});

test("the signal ends the wait, also one that is aborted already", async () => {
  const reactions = new Reactions();
  reactions.watchOpened("a", "echo");
  const controller = new AbortController();
  const isOver = waiting(reactions, ["a"], controller.signal);
  expect(await isOver()).toBe(false);
  controller.abort();
  expect(await isOver()).toBe(true);
  expect(await waiting(reactions, ["a"], controller.signal)()).toBe(true);
});

test("a reaction before the wait does not count", async () => {
  const reactions = new Reactions();
  reactions.watchOpened("a", "echo");
  reactions.reported("a");
  expect(await waiting(reactions, ["a"])()).toBe(false);
});
