/** The zone of all times on the page. */
import { useNow } from '../shared/live';
import { Button } from '../shared/ui/button';
import { Tooltip } from '../shared/ui/tooltip';
import { chooseZone, offsetText, useZone } from '../shared/zone';

/** In the bar: the zone, and the other one by a click. */
export function ZoneSwitch() {
  const zone = useZone();
  const local = offsetText(useNow(60_000));
  const isUtc = zone === 'utc';
  return (
    <Tooltip text={isUtc ? `Show times in this browser's zone, ${local}` : 'Show times in UTC'}>
      <Button
        kind="quiet"
        className="h-6 px-1"
        aria-label={isUtc ? 'Times in UTC. Show local times' : `Times: local, ${local}. Show UTC`}
        onClick={() => chooseZone(isUtc ? 'local' : 'utc')}
      >
        {isUtc ? 'UTC' : `local, ${local}`}
      </Button>
    </Tooltip>
  );
}

/** Beside the range: both zones to choose from. */
export function ZoneChoice() {
  const zone = useZone();
  const local = offsetText(useNow(60_000));
  return (
    <div role="group" aria-label="Time zone" className="flex items-center gap-1">
      <span className="mr-1 text-label text-muted">Times in</span>
      <Button aria-pressed={zone === 'utc'} onClick={() => chooseZone('utc')}>
        UTC
      </Button>
      <Button aria-pressed={zone === 'local'} onClick={() => chooseZone('local')}>
        local, {local}
      </Button>
    </div>
  );
}
