/**
 * The last resort: a mistake in a component becomes a sentence instead of a blank page.
 */
import { Component, type ReactNode } from 'react';

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <main className="broken">
        <h1>This page broke, the engine did not.</h1>
        <p className="mono">{error.message}</p>
        <p>Reload the page. The same data is at api/v1/views and api/v1/stream.</p>
        <button type="button" onClick={() => window.location.reload()}>
          Reload
        </button>
      </main>
    );
  }
}
