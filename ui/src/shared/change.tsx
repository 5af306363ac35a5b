/**
 * A button that changes something on the server. Who may not change anything finds it where it is for others, by Tab too,
 * and learns from it why it does nothing.
 */
import { useId } from 'react';
import { useWhyNot } from './session';
import { Button, type ButtonProps } from './ui/button';
import { Tooltip } from './ui/tooltip';

export function ChangeButton(props: ButtonProps) {
  const why = useWhyNot();
  const id = useId();
  if (why === null) return <Button {...props} />;
  // Neither its own title nor being disabled for another reason matters then, and it submits no form.
  const { onClick: _click, disabled: _disabled, title: _title, type: _type, ...shown } = props;
  return (
    <>
      <Tooltip text={why} tap>
        <Button {...shown} aria-disabled="true" aria-describedby={id} />
      </Tooltip>
      <span id={id} hidden>
        {why}
      </span>
    </>
  );
}
