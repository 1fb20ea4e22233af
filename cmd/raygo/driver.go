package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDriver runs a program with our own standard streams, hands signals on to
// it, and ends with its exit code.
func runDriver(ctx context.Context, binary string, args, env []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The parent-death signal is sent when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	c := exec.Command(binary, args...)
	c.Env = env
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		signal.Stop(signals)
		return fmt.Errorf("start the program: %w", err)
	}
	done := make(chan struct{})
	go func() { // ends when signals is closed
		defer close(done)
		for s := range signals {
			if fromTerminal(s) {
				continue // the terminal sent it to the program, too
			}
			_ = c.Process.Signal(s)
		}
	}()
	err := c.Wait()
	signal.Stop(signals)
	close(signals)
	<-done
	return driverResult(err)
}

// driverResult is a program's end as an error of ours: its exit code, as a
// shell would give it.
func driverResult(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitCode(128 + int(ws.Signal()))
	}
	return exitCode(exit.ExitCode())
}

// fromTerminal reports whether a signal is one that a terminal sends to all of
// its foreground processes, and we are one of them.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
