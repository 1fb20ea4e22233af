package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	"github.com/raygo/raygo/node/procs"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// RoleVariable names the environment variable that makes this binary one of the
// processes of a measurement: a role and its arguments, separated by spaces.
const RoleVariable = "RAYGO_BENCH_ROLE"

// ServeRole makes this process what RoleVariable says, and then does not return.
func ServeRole() {
	words := strings.Fields(os.Getenv(RoleVariable))
	if len(words) == 0 {
		return
	}
	_ = os.Unsetenv(RoleVariable)
	if err := serve(words[0], words[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "raygo bench:", words[0]+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(role string, args []string) error {
	arg := func(i int) string { return append(args, "", "")[i] }
	number, _ := strconv.Atoi(arg(1)) // 0 when it is not a number's place
	switch role {
	case "peer":
		return servePeer(arg(0))
	case "first": // says something and ends
		fmt.Fprintln(os.Stdout, "ready")
		return nil
	case "streams":
		return serveStreams()
	case "echo-peer":
		return serveEcho(arg(0))
	case "echo-worker":
		return workEcho(arg(0), uint32(number))
	case "echo-driver":
		return driveEcho(arg(0), uint32(number))
	case "driver":
		return drive(arg(0))
	}
	return errors.New("there is no such role")
}

// untilStdinEnds gives a context that ends with the process at the other end of
// standard input.
func untilStdinEnds() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with standard input, or with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// servePeer is a peer in a process of its own, as users run it.
func servePeer(profile string) error {
	ctx, cancel := context.WithCancel(untilStdinEnds())
	var adapting sync.WaitGroup
	adapting.Go(func() { procs.Adapt(ctx) })
	defer adapting.Wait()
	defer cancel()
	p, err := p2p.Start(ctx, p2p.Config{})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, p.Address())
	stop, err := fleet.Profile(profile, "peer")
	if err != nil {
		return errors.Join(err, p.Stop())
	}
	<-ctx.Done()
	stop()
	return p.Stop()
}

// commands calls do for each line of standard input, which is a number of
// calls, and says when it is done.
func commands(do func(n int) error) error {
	fmt.Fprintln(os.Stdout, "ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return fmt.Errorf("read a number of calls: %w", err)
		}
		if err := do(n); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "done")
	}
	return in.Err()
}

// driveEcho is one of several drivers of an echo.
func driveEcho(socket string, number uint32) error {
	e, err := newEchoClient(socket, number)
	if err != nil {
		return err
	}
	return commands(func(n int) error { return e.calls(n, multiWindow) })
}

// drive is one of several drivers of a peer.
func drive(address string) (err error) {
	ctx, s, err := raygo.Init(context.Background(), raygo.Address(address), raygo.JobName("raygo bench"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	return commands(func(n int) error { return taskCalls(ctx, n, multiWindow) })
}
