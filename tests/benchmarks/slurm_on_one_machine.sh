#!/bin/sh
# A real Slurm on this machine for trying sweeps: munge, slurmctld and two slurmd of one CPU each, in a temporary folder.
#
#   sudo apt-get update && sudo apt-get install -y slurm-wlm        # Debian and Ubuntu
#   sudo tests/benchmarks/slurm_on_one_machine.sh up                # prints the folder; SLURM_CONF is FOLDER/slurm.conf
#   SLURM_CONF=/tmp/headcode-slurm/slurm.conf sinfo
#   sudo tests/benchmarks/slurm_on_one_machine.sh down
#
# There is no accounting database, so sacct does not work, as on many small clusters. Everything runs as root.
set -eu
folder=${SLURM_FOLDER:-/tmp/headcode-slurm}
export SLURM_CONF="$folder/slurm.conf"

up() {
    mkdir -p "$folder/state" "$folder/one" "$folder/two" "$folder/munge"
    chmod 755 "$folder"
    chown root "$folder/munge"
    chmod 700 "$folder/munge"
    [ -s "$folder/munge/key" ] || dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 2>/dev/null
    chmod 400 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    here=$(hostname -s)
    cat > "$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$here(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
SlurmctldPort=16817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=20
KillWait=5
SchedulerParameters=sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
NodeName=one NodeHostname=$here NodeAddr=127.0.0.1 Port=16818 CPUs=1 RealMemory=4000
NodeName=two NodeHostname=$here NodeAddr=127.0.0.1 Port=16819 CPUs=1 RealMemory=4000
PartitionName=low Nodes=one,two Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=10
PartitionName=high Nodes=one,two MaxTime=INFINITE State=UP PriorityTier=10
CONF
    slurmctld
    slurmd -N one
    slurmd -N two
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sinfo --noheader --format='%T' 2>/dev/null | grep -q idle && break
        sleep 1
    done
    echo "$SLURM_CONF"
    sinfo
}

down() {
    scontrol shutdown 2>/dev/null || true
    sleep 1
    for pid in "$folder"/*.pid "$folder"/munge/pid; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$folder"
}

case "${1:-}" in
    up) up ;;
    down) down ;;
    *)
        echo "usage: $0 up | down" >&2
        exit 2
        ;;
esac
