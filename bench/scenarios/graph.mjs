// Startup order and impact of 10,000 plugins with 50,000 dependencies, against plain traversals of the same arrays.
import assert from "node:assert/strict";
import { DependencyGraph } from "../../dist/graph/dependency-graph.js";
import { alternate, shortestMs } from "../lib/statistics.mjs";

export const title = "startup order and impact, 10,000 plugins and 50,000 dependencies";
export const tools = [];

const count = 10_000;
const perPlugin = 5;

/** Each plugin needs five of those before it; the same ones every time. */
function edges() {
  const needs = [];
  let seed = 1;
  for (let id = 0; id < count; id++) {
    const targets = new Set();
    while (targets.size < Math.min(perPlugin, id)) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      targets.add((seed >>> 8) % id);
    }
    needs.push([...targets]);
  }
  return needs;
}

function reversed(needs) {
  const users = needs.map(() => []);
  needs.forEach((targets, id) => {
    for (const target of targets) users[target].push(id);
  });
  return users;
}

/** Kahn's algorithm over arrays of numbers. */
function plainOrder(needs, users) {
  const open = needs.map((targets) => targets.length);
  const order = [];
  for (let id = 0; id < count; id++) if (open[id] === 0) order.push(id);
  for (let next = 0; next < order.length; next++) {
    for (const user of users[order[next]]) if (--open[user] === 0) order.push(user);
  }
  return order;
}

function plainImpact(users, start) {
  const seen = new Uint8Array(count);
  const affected = [];
  const queue = [start];
  seen[start] = 1;
  for (let next = 0; next < queue.length; next++) {
    for (const user of users[queue[next]]) {
      if (seen[user] === 1) continue;
      seen[user] = 1;
      affected.push(user);
      queue.push(user);
    }
  }
  return affected;
}

export async function run({ rounds }) {
  const needs = edges();
  const users = reversed(needs);
  const graph = new DependencyGraph();
  needs.forEach((targets, id) => {
    const requires = targets.map((target) => ({
      type: `type-${target}`,
      minVersion: "1.0.0",
      required: true,
      watch: false,
      source: "declared",
    }));
    graph.put({ id: `plugin-${id}`, provides: [{ type: `type-${id}`, version: "1.0.0" }], requires });
  });
  assert.equal(graph.startupOrder().length, count);
  assert.equal(plainOrder(needs, users).length, count);
  const rank = new Map(graph.startupOrder().map((id, index) => [id, index]));
  needs.forEach((targets, id) => {
    for (const target of targets) assert(rank.get(`plugin-${target}`) < rank.get(`plugin-${id}`));
  });
  assert.equal(graph.impact("plugin-0").affectedPlugins.length, plainImpact(users, 0).length);
  const values = await alternate(rounds, {
    "startup order": () => shortestMs(() => graph.startupOrder()),
    "startup order, plain": () => shortestMs(() => plainOrder(needs, users)),
    "impact of the first": () => shortestMs(() => graph.impact("plugin-0")),
    "impact of the first, plain": () => shortestMs(() => plainImpact(users, 0)),
  });
  const ratio = (name) => values[name].median / values[`${name}, plain`].median;
  return {
    unit: "ms",
    values,
    ratios: [
      { name: "startup order / plain", ratio: ratio("startup order"), atMost: 10 },
      { name: "impact / plain", ratio: ratio("impact of the first"), atMost: 10 },
    ],
  };
}
