import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

interface Schema {
  properties?: Record<string, unknown>;
  required?: string[];
  enum?: string[];
}

const root = new URL("../../..", import.meta.url);
const document = JSON.parse(readFileSync(new URL("docs/openapi.json", root), "utf8")) as {
  components: { schemas: Record<string, Schema> };
};
const { schemas } = document.components;
const file = fileURLToPath(new URL("../src/models.ts", import.meta.url));
const program = ts.createProgram([file], { strict: true, noLib: true });
const checker = program.getTypeChecker();
const source = program.getSourceFile(file) ?? expect.fail();
const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source) ?? expect.fail());
const declared = new Map(exported.map((symbol) => [symbol.name, symbol]));

/** The fields of an interface, and which of them are always there. */
function fieldsOf(name: string): { all: string[]; required: string[] } {
  const symbol = declared.get(name) ?? expect.fail(name);
  const fields = checker.getDeclaredTypeOfSymbol(symbol).getProperties();
  const required = fields.filter(({ flags }) => !(flags & ts.SymbolFlags.Optional));
  return { all: namesOf(fields), required: namesOf(required) };
}

function namesOf(symbols: ts.Symbol[]): string[] {
  return symbols.map(({ name }) => name).sort();
}

const NOT_IN_DOCUMENT = new Set(["Json", "RunResult"]);
const NOT_MODELS = /^(AgentStreamEvent|ApprovalAction|JsonValue|ServerSentEvent|.*Page|.*Data)$/;
const INSIDE = new Set(["ContinueRequest", "Problem", "ResolveRequest", "RunRequest"]);
const models = [...declared.keys()].filter((name) => !NOT_IN_DOCUMENT.has(name));
const interfaces = models.filter((name) => schemas[name]?.properties);

test.each(interfaces)("%s has the document's fields", (name) => {
  const { properties = {}, required = [] } = schemas[name] ?? expect.fail();
  const fields = fieldsOf(name);
  expect(fields.all).toEqual(Object.keys(properties).sort());
  expect(fields.required).toEqual([...required].sort());
});

test.each(models.filter((name) => !interfaces.includes(name)))("%s has its values", (name) => {
  const type = checker.getDeclaredTypeOfSymbol(declared.get(name) ?? expect.fail());
  const values = (type as ts.UnionType).types.map((value) => (value as ts.StringLiteralType).value);
  expect([...values].sort()).toEqual([...(schemas[name]?.enum ?? expect.fail(name))].sort());
});

test("every schema of the document has a model", () => {
  const missing = Object.keys(schemas).filter((name) => !declared.has(name));
  const unexpected = missing.filter(
    (name) => !NOT_MODELS.test(name) && !INSIDE.has(name) && !name.endsWith("Event"),
  );
  expect(unexpected.filter((name) => name !== "ResetReason")).toEqual([]);
});
