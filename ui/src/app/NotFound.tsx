/** An address without a page. */
import { Link } from '@tanstack/react-router';

export function NotFound() {
  return (
    <div className="p-6">
      <h1 className="text-section">Page not found</h1>
      <p>
        Go to the{' '}
        <Link to="/" className="text-accent underline">
          Overview
        </Link>
        .
      </p>
    </div>
  );
}
