// Everything that a program can name, or reach by what it names, says what it is. (TypeScript 7's API is called unstable; nothing but
// this test depends on it.)

import { join, relative } from "node:path";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import {
  isBlock,
  isExpressionWithTypeArguments,
  isIdentifier,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isTypeQueryNode,
  isTypeReferenceNode,
} from "typescript/unstable/ast/is";
import { API, type Symbol as NamedSymbol, type Project, SymbolFlags } from "typescript/unstable/sync";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "./program-folder.js";

let api: API;
let project: Project;
beforeAll(() => {
  api = new API({ cwd: root });
  const config = join(root, "tsconfig.json");
  project = api.updateSnapshot({ openProjects: [config] }).getProject(config)!;
});
afterAll(() => api.close());

it.each(["runtime/index.ts", "tokenizer/index.ts", "models/tiny.ts"])(
  "%s exports nothing without a docstring",
  (entry) => {
    const { seen, missing } = undocumented(project, entry);
    expect(seen).toBeGreaterThan(0);
    expect(missing).toEqual([]);
  },
);

/** What has no docstring of an entry's exports, the types that these mention, and the members of all of them. */
function undocumented({ program, checker }: Project, entry: string): { seen: number; missing: string[] } {
  const missing: string[] = [];
  const seen = new Set<NamedSymbol>();
  const isDocumented = (symbol: NamedSymbol) =>
    checker.getDocumentationCommentOfSymbol(symbol) !== "" || checker.getJsDocTagsOfSymbol(symbol).length > 0;

  /** A declaration that a name stands for, its members, and what they mention. */
  function visitSymbol(named: NamedSymbol): void {
    const symbol = named.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(named) : named;
    if (seen.has(symbol)) return;
    seen.add(symbol);
    for (const declaration of symbol.declarations) {
      const path = relative(root, declaration.path);
      if (path.startsWith("..") || path.startsWith("node_modules")) return;
      if (symbol.flags & SymbolFlags.TypeParameter) return;
      if (!isDocumented(symbol)) missing.push(`${path}: ${symbol.name}`);
      const node = declaration.resolve(project);
      if (node) visitChildren(node, `${path}: ${symbol.name}`);
    }
  }

  function visitChildren(node: Node, owner: string): void {
    node.forEachChild((child) => visitNode(child, owner));
  }

  function visitNode(node: Node, owner: string): void {
    if (isBlock(node) || isOverride(node)) return;
    if (isTypeReferenceNode(node)) visitName(node.typeName);
    if (isTypeQueryNode(node)) visitName(node.exprName);
    if (isExpressionWithTypeArguments(node)) visitName(node.expression);
    let name = owner;
    if (isMember(node)) {
      const symbol = checker.getSymbolAtLocation(node.name);
      name = `${owner}.${symbol?.name}`;
      if (symbol && !isDocumented(symbol)) missing.push(name);
    }
    visitChildren(node, name);
  }

  function visitName(name: Node): void {
    const symbol = isIdentifier(name) ? checker.getSymbolAtLocation(name) : undefined;
    if (symbol) visitSymbol(symbol);
  }

  const file = checker.getSymbolAtLocation(program.getSourceFile(join(root, entry))!)!;
  for (const symbol of checker.getExportsOfModule(file)) visitSymbol(symbol);
  return { seen: seen.size, missing };
}

function isMember(node: Node) {
  return (
    isPropertySignatureDeclaration(node) ||
    isMethodSignatureDeclaration(node) ||
    isPropertyDeclaration(node) ||
    isMethodDeclaration(node)
  );
}

/** Such as an error's name, which the class that it extends speaks for. */
function isOverride(node: Node): boolean {
  if (!isPropertyDeclaration(node) && !isMethodDeclaration(node)) return false;
  return node.modifiers?.some(({ kind }) => kind === SyntaxKind.OverrideKeyword) ?? false;
}
