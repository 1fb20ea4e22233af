// Package ask owns the conversation of the raygo command with a peer: it finds
// the peer, asks a question and reads the answer.
package ask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Client is a connection to a peer on which one question is asked at a time.
type Client struct {
	conn    *ipc.Conn
	Peer    string // the peer's ID
	Socket  string // the path it was reached at
	request uint32
	after   func() error
}

// Close ends the connection, and what was made for it.
func (c *Client) Close() error {
	err := c.conn.Close()
	if c.after != nil {
		err = errors.Join(err, c.after())
	}
	return err
}

// After has something ended after the connection.
func (c *Client) After(end func() error) { c.after = end }

// Each asks q and gives the body of each answer to fn, in order.
func (c *Client) Each(ctx context.Context, q ipc.Query, fn func(body []byte) error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c.request++
	id := c.request
	if err := c.conn.Send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeQuery, id, &q) }); err != nil {
		return fmt.Errorf("ask %s: %w", q.Op, err)
	}
	for {
		t, p, err := c.conn.Read()
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("%w any more while it was asked for %s: %w", ErrNoPeer, q.Op, err))
		}
		switch t {
		case ipc.TypeRefused:
			var f raygo.Failure
			if err := ipc.Unmarshal(p, &f); err != nil {
				return err
			}
			return &f
		case ipc.TypeAnswer:
		default:
			continue
		}
		var a ipc.Answer
		got, err := ipc.ParseNumbered(p, &a)
		switch {
		case err != nil:
			return fmt.Errorf("read the answer to %s: %w", q.Op, err)
		case got != id:
			continue // a late answer to an earlier question
		case a.Failure != nil:
			return a.Failure
		}
		if len(a.Body) > 0 {
			if err := fn(a.Body); err != nil {
				return err
			}
		}
		if !a.More {
			return nil
		}
	}
}

// One asks q and reads the answer into a T.
func One[T any](ctx context.Context, c *Client, q ipc.Query) (v T, err error) {
	err = c.Each(ctx, q, func(body []byte) error { return ipc.Unmarshal(body, &v) })
	return v, err
}

// List asks q and joins the rows of all its answers.
func List[R any](ctx context.Context, c *Client, q ipc.Query) (all ipc.Rows[R], err error) {
	all.Rows = []R{}
	err = c.Each(ctx, q, func(body []byte) error {
		var part ipc.Rows[R]
		if err := ipc.Unmarshal(body, &part); err != nil {
			return err
		}
		rows := append(all.Rows, part.Rows...)
		all = part
		all.Rows = rows
		return nil
	})
	return all, err
}

// handshakeError tells a peer that refuses from one that is not there.
func handshakeError(path string, err error) error {
	var refused *raygo.Failure
	if errors.As(err, &refused) {
		return fmt.Errorf("the peer at unix://%s refuses: %w", path, err)
	}
	return fmt.Errorf("%w at unix://%s: %w", ErrNoPeer, path, err)
}

// rootCause is the system's own word, without the path that is said already.
func rootCause(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}
