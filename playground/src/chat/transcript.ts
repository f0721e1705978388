import type { Exchange } from "./history";

/** Write a conversation down for people. */
export function asMarkdown(agentName: string, exchanges: readonly Exchange[]): string {
  const parts = exchanges.flatMap(({ question, answer }) => {
    const files = question.media.map(({ type }) => `*Attached: ${type}*`);
    const said = ["## You", ...files, question.text];
    if (!answer) return said;
    const tools = answer.tools.map(
      ({ name, arguments: given, result, error }) =>
        `> \`${name}(${JSON.stringify(given)})\`: ${JSON.stringify(error ?? result ?? null)}`,
    );
    const end = answer.error === undefined ? [] : [`*${answer.status}: ${answer.error}*`];
    return [...said, `## ${agentName}`, ...tools, answer.text, ...end];
  });
  return `${[`# Conversation with ${agentName}`, ...parts].filter((part) => part !== "").join("\n\n")}\n`;
}

/** Write a conversation down for programs; files are named by their types. */
export function asJson(agentId: string, sessionId: string, exchanges: readonly Exchange[]): string {
  const messages = exchanges.flatMap(({ question, answer }) => {
    const { text, media } = question;
    const asked = { role: "user", text, ...(media.length > 0 && { media: media.map(({ type }) => ({ type })) }) };
    if (!answer) return [asked];
    const { id: runId, ...rest } = answer;
    return [asked, { runId, ...rest }];
  });
  return `${JSON.stringify({ agentId, sessionId, messages }, null, 2)}\n`;
}
