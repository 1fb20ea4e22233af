package machine

import (
	"context"
	"runtime"
)

type Options struct{ GPUs int }
type Machine struct {
	CPUs   float64
	GPUIDs []string
	Memory int64
}

func Detect(context.Context, Options) (Machine, error) {
	return Machine{CPUs: float64(runtime.NumCPU()), Memory: 8 << 30}, nil
}
