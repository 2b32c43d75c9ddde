// English of the area "chat"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/chat.json';
import { learn } from '../i18n.svelte';

learn('chat', words);
