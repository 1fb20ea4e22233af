package dht

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// withdrawProtocol, after the cluster's prefix, is what kad-dht lacks: a peer
// tells those that keep its provider records which of them it withdraws. The
// sender opens a stream, writes multihashes, each with its length before it as
// a uvarint, and closes; there is no answer, since a record that stays expires.
// A peer can take back its own records alone: whose they are is known from the
// connection.
//
// 2026-11: version 1.
const withdrawProtocol = "/withdraw/1"

// Bounds of a stream of withdrawals.
const (
	maxKey        = 80   // bytes of a multihash, as in kad-dht
	maxWithdrawn  = 4096 // multihashes
	withdrawnTime = 5 * time.Second
)

// sayWithdrawals tells peers what they need no longer keep.
func (a *announcer) sayWithdrawals(ctx context.Context) {
	a.mu.Lock()
	list := a.unsaid
	a.unsaid = nil
	a.mu.Unlock()
	jobs := map[peer.ID][]int{}
	for i, w := range list {
		for _, p := range w.peers {
			if a.d.cfg.Alive(p) {
				jobs[p] = append(jobs[p], i)
			}
		}
	}
	a.d.each(jobs, func(p peer.ID, places []int) {
		for len(places) > 0 {
			n := min(len(places), maxWithdrawn)
			if err := a.d.sendWithdrawals(ctx, p, list, places[:n]); err != nil {
				a.d.metrics.unsaid.Add(float64(len(places)))
				a.d.cfg.Logger.Debug("peer not told of withdrawals", "peer", p, "err", err)
				return
			}
			places = places[n:]
		}
	})
}

// sendWithdrawals tells one peer. It dials nobody for that: a peer that is not
// connected keeps the record until it expires.
func (d *DHT) sendWithdrawals(ctx context.Context, p peer.ID, list []withdrawal, places []int) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "withdrawals"), tellTimeout)
	defer cancel()
	s, err := d.cfg.Host.NewStream(ctx, p, d.withdraw)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	_ = s.SetDeadline(time.Now().Add(tellTimeout)) // a stream without deadlines is reset by its connection
	w := bufio.NewWriter(s)
	for _, i := range places {
		_, _ = w.Write(binary.AppendUvarint(nil, uint64(len(list[i].key))))
		_, _ = w.Write(list[i].key) // the writer keeps its first error for Flush
	}
	if err := w.Flush(); err != nil {
		_ = s.Reset()
		return fmt.Errorf("write: %w", err)
	}
	return s.Close()
}

// serveWithdrawals drops the records that a peer takes back.
func (d *DHT) serveWithdrawals(s network.Stream) {
	d.runMu.Lock()
	if d.ctx.Err() != nil {
		d.runMu.Unlock()
		_ = s.Reset()
		return
	}
	d.handlers.Add(1)
	d.runMu.Unlock()
	defer d.handlers.Done()
	defer context.AfterFunc(d.ctx, func() { _ = s.Reset() })()
	_ = s.SetReadDeadline(time.Now().Add(withdrawnTime))
	from := s.Conn().RemotePeer()
	err := readWithdrawals(s, func(key []byte) { d.providers.forget(key, from) })
	if err != nil {
		d.cfg.Logger.Debug("withdrawals broke off", "peer", from, "err", err)
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// readWithdrawals calls f for each multihash of a stream.
func readWithdrawals(r io.Reader, f func(key []byte)) error {
	in := bufio.NewReader(r)
	buf := make([]byte, maxKey)
	for range maxWithdrawn {
		n, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read length: %w", err)
		}
		if n == 0 || n > maxKey {
			return fmt.Errorf("a multihash of %d bytes", n)
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return fmt.Errorf("read multihash: %w", err)
		}
		f(buf[:n])
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than %d multihashes", maxWithdrawn)
	}
	return nil
}
