import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const readme = readFileSync(`${folder}/README.md`, "utf8");
/** What the snippets do not say themselves. */
const SURROUNDINGS = `
declare const client: import("agentrun-client").Agentrun;
declare const session: { accessToken(): Promise<string> };
declare const runId: string, sessionId: string, base64: string;
declare const runIds: string[];
declare const lastEventId: number;
declare function getToken(): Promise<string>;
declare function show(text: string | undefined): void;
`;

function snippets(): Map<string, string> {
  const found = [...readme.matchAll(/^```(tsx?)\n(.*?)^```$/gms)];
  return new Map(
    found.map(([, kind = "", code = ""], number) => {
      const lines = code.split("\n");
      const imports = lines.filter((line) => line.startsWith("import "));
      const rest = lines.filter((line) => !line.startsWith("import ")).join("\n");
      const body = kind === "tsx" ? rest : `export async function snippet() {\n${rest}\n}`;
      const around = kind === "tsx" ? SURROUNDINGS.replace(/.*const client.*\n/, "") : SURROUNDINGS;
      const file = `${folder}/test/snippet-${String(number)}.${kind}`;
      return [file, [...imports, around, body].join("\n")];
    }),
  );
}

test("the README's snippets compile", () => {
  const files = snippets();
  const options: ts.CompilerOptions = {
    ...ts.parseJsonConfigFileContent(
      ts.readConfigFile(`${folder}/tsconfig.json`, (path) => ts.sys.readFile(path)).config,
      ts.sys,
      folder,
    ).options,
    noUnusedLocals: false,
    noPropertyAccessFromIndexSignature: false,
    paths: {
      "agentrun-client": [`${folder}/src/index.ts`],
      "agentrun-client/react": [`${folder}/src/react/index.ts`],
    },
  };
  const host = ts.createCompilerHost(options);
  const virtual: ts.CompilerHost = {
    ...host,
    fileExists: (name) => files.has(name) || host.fileExists(name),
    readFile: (name) => files.get(name) ?? host.readFile(name),
    getSourceFile: (name, target) => {
      const text = files.get(name);
      if (text === undefined) return host.getSourceFile(name, target);
      return ts.createSourceFile(name, text, target, true);
    },
  };
  const program = ts.createProgram([...files.keys()], options, virtual);
  const faults = ts
    .getPreEmitDiagnostics(program)
    .map(({ file, messageText }) => [file?.text, ts.flattenDiagnosticMessageText(messageText, " ")]);
  expect(faults).toEqual([]);
  expect(files.size).toBeGreaterThanOrEqual(10);
});
