// Package top owns the live view of a cluster: what it shows, when it asks for it,
// and the terminal while it is on.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

// LeastInterval bounds how often a cluster is asked.
const LeastInterval = 100 * time.Millisecond

// Options say what is asked, and how it is shown.
type Options struct {
	// Ask is one question to the cluster. Again tries to find a peer anew after it
	// failed.
	Ask   func(ctx context.Context) (*Snapshot, error)
	Again func(ctx context.Context) error
	// Interval is the time from one frame to the next, if answers take less.
	Interval time.Duration
	// Frames is how many there are; 0 means as many as come until ctx ends or the
	// user quits.
	Frames int
	// Value, if set, writes a snapshot in place of a frame.
	Value func(s *Snapshot) error
}

// Run shows frames on out, as a screen of its own if that is a terminal. It
// returns nil when it was ended by ctx or the user.
func Run(ctx context.Context, in *os.File, out io.Writer, o Options) error {
	if f, ok := out.(*os.File); ok && o.Value == nil && term.IsTerminal(int(f.Fd())) {
		return onScreen(ctx, in, f, o)
	}
	show := func(now, before *Snapshot) error {
		if o.Value != nil {
			return o.Value(now)
		}
		lines := frame(now, before, size{})
		if before != nil {
			lines = append([]string{""}, lines...)
		}
		return plain(out, lines)
	}
	return loop(ctx, o, nil, show, func(error) error { return nil })
}

// loop asks and shows. redraw shows the last snapshot again; failed tells of an
// answer that did not come, after which it goes on trying.
func loop(ctx context.Context, o Options, redraw <-chan os.Signal, show func(now, before *Snapshot) error, failed func(error) error) error {
	var now, before *Snapshot
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for shown := 0; ; {
		s, err := o.Ask(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && now == nil:
			return err // there never was a peer
		case err != nil:
			if again := o.Again(ctx); again != nil && ctx.Err() == nil {
				err = again
			}
			if err := failed(err); err != nil {
				return err
			}
		default:
			now, before = s, now
			if err := show(now, before); err != nil {
				return err
			}
			if shown++; shown == o.Frames {
				return nil
			}
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-redraw:
				if err := show(now, before); err != nil {
					return err
				}
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// What a terminal is told.
const (
	enter   = "\x1b[?1049h\x1b[?25l" // another screen, no cursor
	leave   = "\x1b[?25h\x1b[?1049l"
	home    = "\x1b[H"
	endLine = "\x1b[K\r\n" // and the rest of the line is empty
	rest    = "\x1b[J"     // of the screen is
)

// onScreen shows frames on a terminal, which is as it was afterwards.
func onScreen(ctx context.Context, in, out *os.File, o Options) (err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	first, err := o.Ask(ctx) // before the screen is taken: it may take a while, or fail
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if term.IsTerminal(int(in.Fd())) {
		was, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return fmt.Errorf("read single keys from the terminal: %w", err)
		}
		defer func() { _ = term.Restore(int(in.Fd()), was) }()
		go keys(in, quit) // ends with the process: a read of a terminal cannot be called off
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	if _, err := io.WriteString(out, enter); err != nil {
		return err
	}
	defer func() {
		_, left := io.WriteString(out, leave)
		err = errors.Join(err, left)
	}()
	note := ""
	draw := func(now, before *Snapshot) error {
		w, h, err := term.GetSize(int(out.Fd()))
		if err != nil || w < 1 || h < 2 {
			w, h = 80, 24
		}
		lines := frame(now, before, size{w, h - 1})
		lines = append(lines, note)
		_, err = io.WriteString(out, home+strings.Join(lines, endLine)+"\x1b[K"+rest)
		return err
	}
	var last, previous *Snapshot
	show := func(now, before *Snapshot) error {
		last, previous, note = now, before, "q quits"
		return draw(now, before)
	}
	failed := func(cause error) error {
		note = strings.Join(strings.Fields("no answer, trying again: "+cause.Error()), " ")
		return draw(last, previous)
	}
	ask, once := o.Ask, sync.Once{}
	o.Ask = func(ctx context.Context) (s *Snapshot, err error) {
		once.Do(func() { s = first })
		if s != nil {
			return s, nil
		}
		return ask(ctx)
	}
	return loop(ctx, o, resized, show, failed)
}

// keys quits at q, Escape, Ctrl-C or Ctrl-D, which a raw terminal hands on as
// characters.
func keys(in io.Reader, quit func()) {
	var b [16]byte
	for {
		n, err := in.Read(b[:])
		if err != nil {
			return // the terminal is gone; SIGHUP ends what is left
		}
		if n == 1 && strings.ContainsRune("qQ\x1b\x03\x04", rune(b[0])) {
			quit()
			return
		}
	}
}
