package main

import (
	"bytes"
	"strings"
	"testing"
)

func runVet(args ...string) (string, error) {
	var out bytes.Buffer
	c := newVet()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	return out.String(), c.Execute()
}

// The examples have none of the habits that vet reports.
func TestVetOfTheExamples(t *testing.T) {
	if out, err := runVet("../../sdk/examples/hello", "../../sdk/examples/basics"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestVetOfWhatDoesNotLoad(t *testing.T) {
	if _, err := runVet("./no/such/package"); err == nil || !strings.Contains(err.Error(), "no/such/package") {
		t.Fatalf("vet: %v", err)
	}
}
