// What links in mails do: a new password, a confirmed address. Nobody needs to be signed in, and nobody is afterwards.

import { client } from '../api/client';

class Recovery {
  /** What stands behind the # of the address, which is taken away: it is worth an account, and addresses are kept in histories. */
  takeToken(): string {
    const token = location.hash.slice(1);
    if (token) {
      history.replaceState(null, '', location.pathname + location.search);
    }
    return token;
  }

  async forgot(email: string): Promise<void> {
    await client.post('/auth/forgot-password', { email }, { anonymous: true });
  }

  async reset(token: string, password: string): Promise<void> {
    await client.post('/auth/reset-password', { token, password }, { anonymous: true });
  }

  async verify(token: string): Promise<void> {
    await client.post('/auth/verify-email', { token }, { anonymous: true });
  }

  async resend(email: string): Promise<void> {
    await client.post('/auth/verify-email/resend', { email }, { anonymous: true });
  }
}

export const recovery = new Recovery();
