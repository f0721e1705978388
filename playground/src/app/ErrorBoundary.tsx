import { Component, type ReactNode } from "react";
import { Notice } from "./Notice";

/** Shows what went wrong in place of an empty page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <main>
        <h1>Agentrun playground</h1>
        <Notice
          kind="error"
          action="Reload"
          onAction={() => {
            location.reload();
          }}
        >
          {error.message}
        </Notice>
      </main>
    );
  }
}
