import { z } from "zod";

const text = z.string().min(1);
const shortestToken = 16;

/** One of `ingress`: a service type under a path of the host. */
export const ingressSchema = z
  .strictObject({
    prefix: text.describe("Such as / or /api"),
    type: text.describe("Service type"),
    users: z
      .record(text, z.string().regex(/^[\x21-\x7e]*$/, { error: "must be of visible ASCII characters" }))
      .exactOptional()
      .describe(
        "Who may call: a token for each user, sent as Authorization: Bearer, or as the password of Basic; anybody if left out",
      ),
  })
  .check((context) => {
    const { users } = context.value;
    if (users === undefined) return;
    const complain = (path: string[], message: string) =>
      context.issues.push({ code: "custom", input: undefined, path: ["users", ...path], message, continue: true });
    const names = new Map<string, string>();
    for (const [name, token] of Object.entries(users)) {
      const other = names.get(token);
      if (token.length < shortestToken) complain([name], `must have at least ${shortestToken} characters`);
      else if (other !== undefined) complain([name], `must not be the token of ${other}, too`);
      if (name.includes(":")) complain([name], "must be of a user whose name has no colon");
      names.set(token, name);
    }
    if (names.size === 0) complain([], "must name somebody; leave it out to let everybody in");
  })
  .describe("A service type under a path of the host");
