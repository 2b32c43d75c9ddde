/* Tells systemd how the service is doing (sd_notify(3)): a datagram to $NOTIFY_SOCKET. Without the
 * variable nothing happens. */
#pragma once

/* "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=..."; several lines are separated by \n. */
void notify_systemd(const char *state);
