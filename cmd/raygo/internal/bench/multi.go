package bench

import (
	"context"
	"fmt"
)

// Several drivers at once.
const (
	multiDrivers = 4
	multiWindow  = 1000
)

func multiWorkloads() []workload {
	return []workload{{
		name: "multi_client_tasks_async", what: "4 drivers, each with 1,000 calls under way", unit: "tasks/s", higher: true,
		target: target{ratio: 0.4}, beside: "4 pipelined echoes",
		run: func(_ context.Context, st *stage) (float64, error) {
			if err := st.startPeer(); err != nil {
				return 0, err
			}
			if err := startDrivers(&st.drivers, "driver", st.address); err != nil {
				return 0, err
			}
			return driveAll(st.drivers, st.size(15_000, 3000))
		},
		floor: func(_ context.Context, st *stage) (float64, error) {
			if err := st.startEcho(); err != nil {
				return 0, err
			}
			if err := startDrivers(&st.echoDrivers, "echo-driver", st.echo); err != nil {
				return 0, err
			}
			return driveAll(st.echoDrivers, st.size(25_000, 3000))
		},
	}}
}

// startDrivers starts the drivers once, and has them make their first calls.
func startDrivers(ps *[]*process, role, address string) error {
	if *ps != nil {
		return nil
	}
	for i := range multiDrivers {
		p, _, err := startProcess(role, address, fmt.Sprint(i+1))
		if err != nil {
			return err
		}
		*ps = append(*ps, p)
	}
	_, err := driveAll(*ps, 2000)
	return err
}

// driveAll has each driver make n calls and gives the rate of all of them.
func driveAll(ps []*process, n int) (float64, error) {
	return rate(n*len(ps), func() error {
		for _, p := range ps {
			if err := p.say(n); err != nil {
				return err
			}
		}
		for _, p := range ps {
			if _, err := p.line(); err != nil {
				return err
			}
		}
		return nil
	})
}
