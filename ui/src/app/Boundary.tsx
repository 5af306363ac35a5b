/**
 * A mistake in the page is said, never a blank page.
 */
import { Component, type ReactNode } from 'react';
import { Button } from '../shared/ui/button';

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <main className="p-6" role="alert">
        <h1 className="text-section">Something went wrong on this page</h1>
        <p className="text-muted">{error.message}</p>
        <p>
          Your data is not affected: <a href="api/v1/views">api/v1/views</a> still serves it.{' '}
          <Button kind="link" onClick={() => location.reload()}>
            Reload the page
          </Button>
        </p>
      </main>
    );
  }
}
