import { duration } from "../chat/answers/figures";
import { JsonView } from "../chat/answers/JsonView";
import type { Moment } from "./timeline";

export function TimelineView({ moments }: { moments: readonly Moment[] }) {
  return (
    <ol className="timeline" aria-label="Timeline">
      {moments.map((moment) => (
        <li key={`${moment.kind}${String(moment.id)}`} className={`${moment.kind}${moment.isVoid ? " void" : ""}`}>
          <span className="at muted">+{duration(moment.atMs)}</span>
          <div>
            <strong>{moment.title}</strong>
            {moment.tookMs !== undefined && <span className="muted"> {duration(moment.tookMs)}</span>}
            {moment.isVoid && <span className="failure"> void</span>}
            {moment.detail && <div className="said" dir="auto">{moment.detail}</div>}
            {moment.value !== undefined && (
              <details>
                <summary>Details</summary>
                <JsonView label={moment.title} value={moment.value} />
              </details>
            )}
          </div>
        </li>
      ))}
    </ol>
  );
}
