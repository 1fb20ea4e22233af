package main

import (
	"path/filepath"
	"testing"
)

func TestExitCodes(t *testing.T) {
	t.Setenv("RAYGO_ADDRESS", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"version"}, exitDone},
		{[]string{"frobnicate"}, exitUsage},
		{[]string{"list"}, exitUsage},
		{[]string{"list", "tasks", "--limit", "0"}, exitUsage},
		{[]string{"list", "tasks", "--filter", "x"}, exitUsage},
		{[]string{"status", "--no-such-flag"}, exitUsage},
		{[]string{"status", "--address", "peer"}, exitUsage},
		{[]string{"status"}, exitNoPeer},
		{[]string{"list", "jobs"}, exitNoPeer},
		{[]string{"timeline"}, exitNoPeer},
		{[]string{"explain", "00"}, exitNoPeer},
		{[]string{"cluster"}, exitUsage},
		{[]string{"cluster", "invite", "--role", "king"}, exitUsage},
		{[]string{"cluster", "revoke"}, exitUsage},
		{[]string{"cluster", "create", "/nowhere/key"}, exitFailed},
		{[]string{"cluster", "invite"}, exitNoPeer},
		{[]string{"cluster", "members"}, exitNoPeer},
		{[]string{"cluster", "revoke", "12D3KooW"}, exitNoPeer},
	} {
		if code, _, errOut := try(t, c.args...); code != c.code {
			t.Errorf("raygo %v: exit code %d, want %d: %s", c.args, code, c.code, errOut)
		}
	}
}
