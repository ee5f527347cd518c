package client

import "time"

// Ahead returns how far the server's clock is ahead of this machine's; zero if the
// difference is too small to be seen in the whole seconds of its answers. known is
// false before the first answer, and for a server that sends no Date.
func (c *Client) Ahead() (ahead time.Duration, known bool) { return c.clock.Ahead() }

// Now returns the time by the server's clock, which all times in its answers and in
// the filters of requests refer to.
func (c *Client) Now() time.Time {
	ahead, _ := c.Ahead()
	return time.Now().Add(ahead)
}
