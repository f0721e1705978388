const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LIST_ITEM = /^(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
// What is defined in one place and used in another.
const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;

/**
 * Cut Markdown between blocks that can be rendered each by itself, so that an answer that grows is not
 * formatted anew from its start with every fragment.
 *
 * All blocks joined are the text. A list is one block, with what is indented below it.
 */
export function blocksOf(markdown: string): string[] {
  if (DEFINITION.test(markdown)) return [markdown];
  const blocks: string[] = [];
  let block = "";
  let fence: string | undefined;
  let isList = false;
  let isAfterBlank = false;
  for (const line of markdown.split(/(?<=\n)/)) {
    const isBlank = line.trim() === "";
    const isItem = LIST_ITEM.test(line);
    const belongsToList = isList && (isItem || /^\s/.test(line));
    if (!fence && isAfterBlank && !isBlank && !belongsToList && !/^(?: {4}|\t)/.test(line)) {
      blocks.push(block);
      block = "";
      isList = false;
    }
    // A list may follow a paragraph without a blank line.
    if (!fence) isList ||= isItem;
    // Below a list's item a fence is indented more.
    const mark = FENCE.exec(isList ? line.trimStart() : line)?.[1];
    if (mark && !fence) fence = mark;
    else if (mark && fence && mark.startsWith(fence) && line.trim() === mark) fence = undefined;
    block += line;
    isAfterBlank = isBlank;
  }
  return block === "" ? blocks : [...blocks, block];
}
