// English of the area "admin"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/admin.json';
import { learn } from '../i18n.svelte';

learn('admin', words);
