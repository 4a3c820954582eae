import type { MessageInitShape } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type PlanRequestSchema, PlanResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import { CliError } from "../cli-error.js";
import type { CliContext } from "../context.js";
import { exitCodes } from "../exit-codes.js";
import { impactText, labelled } from "../impact-text.js";
import { type DeclarationOptions, readDeclaration, withDeclaration } from "../plugin-options.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";
import { oneLine } from "../text.js";

type PlanOptions = SessionOptions & DeclarationOptions;

/** `plan`: what an operation would do, without doing it. Ends with `precondition` if it would fail. */
export function planCommand(context: CliContext): Command {
  const show = async (session: HostSession, request: MessageInitShape<typeof PlanRequestSchema>): Promise<void> => {
    const answer = await session.ask((client) => client.plan(request, { timeoutMs: askTimeoutMs }));
    const { steps, impact, problems } = answer;
    session.print(PlanResponseSchema, answer, () => {
      const { red } = context.style;
      const verdict =
        problems.length === 0
          ? [`${labelled("problems")}none\n`]
          : problems.map((problem) => `${red(labelled("problem"))}${oneLine(problem)}\n`);
      const who = impact === undefined ? "" : impactText(impact);
      return `${labelled("steps")}${steps.join(", ")}\n${who}${verdict.join("")}`;
    });
    if (problems.length > 0) context.endWith(exitCodes.precondition);
  };
  const idForm = "its runtime id, a beginning of it, or its self id";
  const plan = new Command("plan").description("show what an operation would do, without doing it");
  plan.addCommand(
    withSession(withDeclaration(new Command("add")))
      .description("what adding a plugin like this would do")
      .action(async (options: PlanOptions) =>
        show(new HostSession(options, context), { operation: { case: "add", value: needDeclaration(options) } }),
      ),
  );
  plan.addCommand(
    withSession(new Command("remove"))
      .description("what removing a plugin would do")
      .argument("<id>", idForm)
      .action(async (id: string, options: SessionOptions) => {
        const session = new HostSession(options, context);
        await show(session, { operation: { case: "remove", value: await session.pluginId(id) } });
      }),
  );
  plan.addCommand(
    withSession(withDeclaration(new Command("replace")))
      .description("what putting a plugin like this in the place of another would do")
      .argument("<id>", idForm)
      .action(async (id: string, options: PlanOptions) => {
        const session = new HostSession(options, context);
        const declares = needDeclaration(options);
        const runtimeId = await session.pluginId(id);
        await show(session, { operation: { case: "replace", value: { runtimeId, declares } } });
      }),
  );
  return plan;
}

function needDeclaration(options: DeclarationOptions): NonNullable<ReturnType<typeof readDeclaration>> {
  const declares = readDeclaration(options);
  if (declares !== undefined) return declares;
  throw new CliError(exitCodes.usage, "nothing says what the plugin is", {
    hint: "give --self-id, and --provides, --requires and --optional",
  });
}
