package peertest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// Ask puts a question to the peer as a command does and decodes the answer.
func (p *Peer) Ask(t testing.TB, q *ipc.Query, body any) {
	t.Helper()
	if err := p.Asked(q, body); err != nil {
		t.Fatalf("ask %s: %v", q.Op, err)
	}
}

// Asked is Ask that returns the refusal.
func (p *Peer) Asked(q *ipc.Query, body any) error {
	return p.parts(q, func(b []byte, last bool) error {
		if !last {
			return nil
		}
		return ipc.Unmarshal(b, body)
	})
}

// parts calls part with each part of an answer.
func (p *Peer) parts(q *ipc.Query, part func(body []byte, last bool) error) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.Ready.Socket, Net: "unix"})
	if err != nil {
		return err
	}
	conn := ipc.NewConn(c, 0)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, _, err := conn.Handshake(ctx, &ipc.Hello{Role: ipc.RoleCommand}); err != nil {
		return err
	}
	if err := conn.Send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeQuery, 1, q) }); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		typ, b, err := conn.Read()
		if err != nil {
			return err
		}
		if typ != ipc.TypeAnswer {
			continue
		}
		var a ipc.Answer
		if _, err := ipc.ParseNumbered(b, &a); err != nil {
			return err
		}
		if a.Failure != nil {
			return a.Failure
		}
		if err := part(a.Body, !a.More); err != nil || !a.More {
			return err
		}
	}
}

// Logs are the lines that a task or a job wrote, wherever it ran, and the peers
// whose lines are missing.
func (p *Peer) Logs(t testing.TB, id string) (all ipc.LogChunk) {
	t.Helper()
	err := p.parts(&ipc.Query{Op: ipc.QueryLogs, ID: id}, func(b []byte, _ bool) error {
		var c ipc.LogChunk
		err := ipc.Unmarshal(b, &c)
		all.Lines = append(all.Lines, c.Lines...)
		all.Missing = c.Missing
		return err
	})
	if err != nil {
		t.Fatalf("logs of %s: %v", id, err)
	}
	return all
}
