/** Dark, light, or as the system has it. */
import { SunMoon } from 'lucide-react';
import { type Choice, chooseTheme, themeChoice } from '../shared/theme';
import { Button } from '../shared/ui/button';
import { Menu } from '../shared/ui/menu';

const CHOICES: readonly Choice[] = ['system', 'dark', 'light'];

export function ThemeButton() {
  return (
    <Menu
      tooltip="Theme"
      trigger={
        <Button kind="quiet" className="justify-center" aria-label="Theme">
          <SunMoon size={16} aria-hidden="true" />
        </Button>
      }
      items={CHOICES.map(choice => ({
        label: choice,
        hint: choice === themeChoice() ? 'on' : '',
        onSelect: () => chooseTheme(choice),
      }))}
    />
  );
}
