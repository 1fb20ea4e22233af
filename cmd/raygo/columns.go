package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/sdk/ipc"
)

// The columns of each list.
var (
	taskColumns = []show.Column[ipc.TaskRow]{
		{Head: "task_id", Cell: func(r ipc.TaskRow) string { return r.TaskID }},
		{Head: "attempt", Cell: func(r ipc.TaskRow) string { return show.Count(r.Attempt) }},
		{Head: "func_name", Cell: func(r ipc.TaskRow) string { return r.FuncName }},
		{Head: "state", Cell: func(r ipc.TaskRow) string { return r.State }},
		{Head: "job_id", Detail: true, Cell: func(r ipc.TaskRow) string { return r.JobID }},
		{Head: "parent_task_id", Detail: true, Cell: func(r ipc.TaskRow) string { return r.ParentTaskID }},
		{Head: "peer_id", Short: true, Cell: func(r ipc.TaskRow) string { return r.PeerID }},
		{Head: "worker_pid", Cell: func(r ipc.TaskRow) string { return show.Int(r.WorkerPID) }},
		{Head: "took", Cell: func(r ipc.TaskRow) string { return show.Took(r.Started, r.Ended) }},
		{Head: "type", Detail: true, Cell: func(r ipc.TaskRow) string { return r.Type }},
		{Head: "required_resources", Detail: true, Cell: func(r ipc.TaskRow) string { return show.Quantities(r.Resources) }},
		{Head: "depth", Detail: true, Cell: func(r ipc.TaskRow) string { return show.Count(r.Depth) }},
		{Head: "creation_time", Detail: true, Cell: func(r ipc.TaskRow) string { return show.Time(r.Created) }},
		{Head: "start_time", Detail: true, Cell: func(r ipc.TaskRow) string { return show.Time(r.Started) }},
		{Head: "end_time", Detail: true, Cell: func(r ipc.TaskRow) string { return show.Time(r.Ended) }},
		{Head: "progress", Detail: true, Cell: func(r ipc.TaskRow) string { return r.Progress }},
		{Head: "error_type", Cell: func(r ipc.TaskRow) string { return r.ErrorType }},
		{Head: "error_message", Detail: true, Cell: func(r ipc.TaskRow) string { return r.ErrorMessage }},
		{Head: "reason", Detail: true, Cell: func(r ipc.TaskRow) string { return r.Reason }},
	}
	objectColumns = []show.Column[ipc.ObjectRow]{
		{Head: "object_id", Cell: func(r ipc.ObjectRow) string { return r.ObjectID }},
		{Head: "state", Cell: func(r ipc.ObjectRow) string { return r.State }},
		{Head: "size", Cell: func(r ipc.ObjectRow) string { return show.Bytes(r.Size) }},
		{Head: "func_name", Cell: func(r ipc.ObjectRow) string { return r.FuncName }},
		{Head: "refs", Cell: func(r ipc.ObjectRow) string { return show.Count(r.Refs) }},
		{Head: "task_pins", Cell: func(r ipc.ObjectRow) string { return show.Count(r.TaskPins) }},
		{Head: "contained_in", Cell: func(r ipc.ObjectRow) string { return show.Count(r.Contains) }},
		{Head: "mapped", Cell: func(r ipc.ObjectRow) string { return show.Count(r.Mapped) }},
		{Head: "peer_id", Short: true, Cell: func(r ipc.ObjectRow) string { return r.PeerID }},
		{Head: "cid", Detail: true, Cell: func(r ipc.ObjectRow) string { return r.CID }},
		{Head: "task_id", Detail: true, Cell: func(r ipc.ObjectRow) string { return r.TaskID }},
		{Head: "job_id", Detail: true, Cell: func(r ipc.ObjectRow) string { return r.JobID }},
	}
	nodeColumns = []show.Column[ipc.NodeRow]{
		{Head: "peer_id", Cell: func(r ipc.NodeRow) string { return r.PeerID }},
		{Head: "state", Cell: func(r ipc.NodeRow) string { return r.State }},
		{Head: "hostname", Cell: func(r ipc.NodeRow) string { return r.Hostname }},
		{Head: "resources_total", Cell: func(r ipc.NodeRow) string { return show.Quantities(r.Total) }},
		{Head: "resources_free", Cell: func(r ipc.NodeRow) string { return show.Quantities(r.Free) }},
		{Head: "workers", Cell: func(r ipc.NodeRow) string { return show.Count(r.Workers) }},
		{Head: "pending_tasks", Cell: func(r ipc.NodeRow) string { return show.Count(r.Pending) }},
		{Head: "running_tasks", Cell: func(r ipc.NodeRow) string { return show.Count(r.Running) }},
		{Head: "labels", Detail: true, Cell: func(r ipc.NodeRow) string { return show.Labels(r.Labels) }},
		{Head: "object_store", Detail: true, Cell: func(r ipc.NodeRow) string { return show.Bytes(r.Store.Used) + " of " + show.Bytes(r.Store.Limit) }},
		{Head: "isolation_tier", Detail: true, Cell: func(r ipc.NodeRow) string { return r.Tier }},
		{Head: "platform", Detail: true, Cell: func(r ipc.NodeRow) string { return r.Platform }},
		{Head: "version", Detail: true, Cell: func(r ipc.NodeRow) string { return r.Version }},
		{Head: "pid", Detail: true, Cell: func(r ipc.NodeRow) string { return show.Int(r.PID) }},
		{Head: "start_time", Detail: true, Cell: func(r ipc.NodeRow) string { return show.Time(r.Started) }},
		{Head: "reachability", Cell: func(r ipc.NodeRow) string { return r.Reach }},
		{Head: "addrs", Detail: true, Cell: func(r ipc.NodeRow) string { return strings.Join(r.Addrs, " ") }},
		{Head: "links", Detail: true, Cell: func(r ipc.NodeRow) string { return linksText(r.Links) }},
		{Head: "reachability_advice", Detail: true, Cell: func(r ipc.NodeRow) string { return strings.Join(r.Advice, "; ") }},
	}
	workerColumns = []show.Column[ipc.WorkerRow]{
		{Head: "worker_id", Cell: func(r ipc.WorkerRow) string { return r.WorkerID }},
		{Head: "pid", Cell: func(r ipc.WorkerRow) string { return show.Int(r.PID) }},
		{Head: "state", Cell: func(r ipc.WorkerRow) string { return r.State }},
		{Head: "program", Cell: func(r ipc.WorkerRow) string { return r.Program }},
		{Head: "func_name", Cell: func(r ipc.WorkerRow) string { return r.FuncName }},
		{Head: "calls", Cell: func(r ipc.WorkerRow) string { return show.Count(r.Calls) }},
		{Head: "rss", Cell: func(r ipc.WorkerRow) string { return show.Bytes(r.RSS) }},
		{Head: "job_id", Cell: func(r ipc.WorkerRow) string { return r.JobID }},
		{Head: "task_id", Detail: true, Cell: func(r ipc.WorkerRow) string { return r.TaskID }},
		{Head: "gpu_ids", Detail: true, Cell: func(r ipc.WorkerRow) string { return strings.Join(r.GPUIDs, " ") }},
		{Head: "start_time", Detail: true, Cell: func(r ipc.WorkerRow) string { return show.Time(r.Started) }},
		{Head: "peer_id", Detail: true, Cell: func(r ipc.WorkerRow) string { return r.PeerID }},
	}
	jobColumns = []show.Column[ipc.JobRow]{
		{Head: "job_id", Cell: func(r ipc.JobRow) string { return r.JobID }},
		{Head: "name", Cell: func(r ipc.JobRow) string { return r.Name }},
		{Head: "state", Cell: func(r ipc.JobRow) string { return r.State }},
		{Head: "program", Cell: func(r ipc.JobRow) string { return r.Program }},
		{Head: "driver_pid", Cell: func(r ipc.JobRow) string { return show.Int(r.PID) }},
		{Head: "tasks", Cell: func(r ipc.JobRow) string { return show.Count(r.Tasks) }},
		{Head: "finished", Cell: func(r ipc.JobRow) string { return show.Count(r.Finished) }},
		{Head: "failed", Cell: func(r ipc.JobRow) string { return show.Count(r.Failed) }},
		{Head: "took", Cell: func(r ipc.JobRow) string { return show.Took(r.Started, r.Ended) }},
		{Head: "reason", Detail: true, Cell: func(r ipc.JobRow) string { return r.Reason }},
		{Head: "start_time", Detail: true, Cell: func(r ipc.JobRow) string { return show.Time(r.Started) }},
		{Head: "end_time", Detail: true, Cell: func(r ipc.JobRow) string { return show.Time(r.Ended) }},
		{Head: "program_cid", Detail: true, Cell: func(r ipc.JobRow) string { return r.CID }},
		{Head: "peer_id", Detail: true, Cell: func(r ipc.JobRow) string { return r.PeerID }},
		{Head: "guardians", Detail: true, Cell: func(r ipc.JobRow) string { return strings.Join(r.Guardians, " ") }},
	}
)

// linksText is a peer's links in a cell: to whom, how far, what was moved.
func linksText(links []ipc.LinkRow) string {
	parts := make([]string, len(links))
	for i, l := range links {
		way := ""
		if l.Relayed {
			way = " relayed"
		}
		parts[i] = fmt.Sprintf("%s%s %s in %s out %s", show.ID(l.PeerID), way, l.RTT.Round(10*time.Microsecond), show.Bytes(l.Fetched), show.Bytes(l.Served))
	}
	return strings.Join(parts, "; ")
}
