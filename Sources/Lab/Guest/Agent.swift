// SPDX-License-Identifier: Apache-2.0

/// What runs a scenario's commands in a guest.
enum Agent {
  /// Reads ‘ID GROUP SCRIPT’ lines from descriptor 3, the script in base64, and runs each beside
  /// the others; when one has ended, answers ‘MEMX-EXIT ID CODE OUTPUT’, the output in base64.
  /// Lines are written whole under a lock. The line ‘end’ ends it.
  static let script = """
    #!/bin/busybox sh
    echo MEMX-READY $(uname -r) >&3
    while read -r id group script <&3; do
      [ "$id" = end ] && break
      (
        exec 4>&3 3>&-
        job=/run/job-$$-$id
        echo $script | base64 -d > $job.sh
        (
          exec 4>&-
          echo 0 > /proc/self/oom_score_adj
          sh -c 'echo $$ > /sys/fs/cgroup/'$group'/cgroup.procs; exec sh '$job'.sh'
        ) > $job.out 2>&1 < /dev/null
        code=$?
        text=$(base64 -w 0 < $job.out)
        rm -f $job.sh $job.out
        until mkdir /run/agent-lock 2> /dev/null; do usleep 1000; done
        echo MEMX-EXIT $id $code $text >&4
        rmdir /run/agent-lock
      ) &
    done
    echo MEMX-END >&3

    """
}
