import { expect, test } from "vitest";
import { effectiveHealth, type HealthOpinion, type HealthOpinions } from "../../../src/health/effective-health.js";

const nothing: HealthOpinions = { reported: undefined, polled: undefined, traffic: undefined, exit: undefined };
const healthy: HealthOpinion = { verdict: "healthy", reason: "fine" };
const degraded: HealthOpinion = { verdict: "degraded", reason: "slow" };
const unhealthy: HealthOpinion = { verdict: "unhealthy", reason: "broken" };

test.each([
  { have: {}, state: "unready", cause: "start", why: "nobody has seen it" },
  { have: { traffic: healthy }, state: "unready", cause: "start", why: "an answer does not prove that it is ready" },
  { have: { reported: healthy }, state: "healthy", cause: "reported", why: "its own word is enough" },
  { have: { polled: healthy }, state: "healthy", cause: "polled", why: "so is a poll" },
  { have: { polled: degraded }, state: "degraded", cause: "polled", why: "degraded is seen, too" },
  {
    have: { reported: healthy, polled: healthy },
    state: "healthy",
    cause: "reported",
    why: "its own word comes first",
  },
  {
    have: { reported: degraded, polled: healthy },
    state: "degraded",
    cause: "reported",
    why: "a poll improves nothing",
  },
  { have: { reported: unhealthy, polled: healthy }, state: "unhealthy", cause: "reported", why: "not even a good one" },
  {
    have: { reported: healthy, polled: unhealthy },
    state: "unhealthy",
    cause: "polled",
    why: "a report hides nothing",
  },
  { have: { reported: degraded, polled: unhealthy }, state: "unhealthy", cause: "polled", why: "the worst wins" },
  { have: { reported: healthy, traffic: unhealthy }, state: "unhealthy", cause: "traffic", why: "calls fail" },
  { have: { traffic: unhealthy }, state: "unhealthy", cause: "traffic", why: "bad news needs no poll" },
  {
    have: { reported: unhealthy, polled: unhealthy },
    state: "unhealthy",
    cause: "reported",
    why: "first among equals",
  },
  { have: { polled: unhealthy, traffic: unhealthy }, state: "unhealthy", cause: "polled", why: "polls before traffic" },
  {
    have: { exit: unhealthy, reported: unhealthy },
    state: "unhealthy",
    cause: "exit",
    why: "an end explains the rest",
  },
  { have: { exit: unhealthy, reported: healthy, polled: healthy }, state: "unhealthy", cause: "exit", why: "dead" },
])("$have is $state by $cause: $why", ({ have, state, cause }) => {
  const opinions = { ...nothing, ...have };
  const effective = effectiveHealth(opinions);
  expect(effective).toMatchObject({ state, cause });
  if (cause !== "start") expect(effective.reason).toBe(opinions[cause as keyof HealthOpinions]?.reason);
});
