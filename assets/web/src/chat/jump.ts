// To the message where something was said, wherever it stands: on the path that is shown, on another branch, or nowhere any more.
import type { Id } from '../api/common';
import { t } from '../lib/i18n.svelte';
import '../lib/words/memory';
import { reach } from '../state/reach';
import type { Room } from '../state/rooms.svelte';
import { attempt, toasts } from '../state/toast.svelte';

export async function jump(room: Room, id: Id, show: (id: Id) => unknown): Promise<void> {
  const reached = await reach(room, id);
  if (reached === 'here') {
    show(id);
    return;
  }
  if (reached === 'gone') {
    toasts.say(t('memory.source_gone'));
    return;
  }
  toasts.say(t('memory.source_elsewhere'), {
    label: t('memory.source_branch'),
    run: () =>
      attempt(async () => {
        await room.activate(id);
        if ((await reach(room, id)) === 'here') {
          show(id);
        }
      }),
  });
}
