/** The sign of the product. */
export function Waves() {
  return (
    <svg
      width="24"
      height="16"
      viewBox="0 0 24 16"
      aria-hidden="true"
      fill="none"
      stroke="var(--accent)"
      strokeWidth="2"
    >
      <path d="M0 5c4-5 8-5 12 0s8 5 12 0M0 12c4-5 8-5 12 0s8 5 12 0" />
    </svg>
  );
}
