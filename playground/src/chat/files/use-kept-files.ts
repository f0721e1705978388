import type { Media } from "agentrun-client";
import { useEffect, useState } from "react";
import { filesOf, keepFiles, type KeptFile } from "./kept-files";

const NONE: readonly KeptFile[] = [];

/**
 * What is shown of a message's files, once the page that sent them has been closed.
 *
 * @param runId Undefined before the run has begun, and where nothing is kept.
 */
export function useKeptFiles(runId: string | undefined, sessionId: string, media: readonly Media[]): readonly KeptFile[] {
  const [files, setFiles] = useState(NONE);
  useEffect(() => {
    if (runId === undefined) return;
    let isCurrent = true;
    const work = media.length > 0 ? keepFiles(runId, sessionId, media).then(() => NONE) : filesOf(runId);
    // A browser that forbids it, as in a private window, shows the text alone.
    work.catch(() => NONE).then(
      (found) => {
        if (isCurrent && found.length > 0) setFiles(found);
      },
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [runId, sessionId, media]);
  return files;
}
