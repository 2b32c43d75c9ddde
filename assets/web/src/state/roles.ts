// What the roles of the house are called.

import type { User } from '../api/types';
import type { Key } from '../lib/i18n.svelte';
import '../lib/words/admin';

export const roleWords: Record<User['role'], Key> = {
  owner: 'admin.role_owner',
  admin: 'admin.role_admin',
  moderator: 'admin.role_moderator',
  creator: 'admin.role_creator',
  member: 'admin.role_member',
};
