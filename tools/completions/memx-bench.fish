function __memx-bench_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memx-bench_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __memx-bench_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memx-bench_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __memx-bench_parse_tokens -S
    set -l unparsed_tokens (__memx-bench_tokens -pc)
    switch $unparsed_tokens[1]
    case 'memx-bench'
        __memx-bench_parse_subcommand 0 'h/help'
        switch $unparsed_tokens[1]
        case 'rmap'
            __memx-bench_parse_subcommand 0 'link=' 'server=' 'region=' 'token=' 'case=' 'queue-depth=' 'mtu=' 'duration=' 'slots=' 'seed=' 'busy-poll-us=' 'timeout=' 'server-pid=' 'one-sided' 'sent-pushes' 'fill' 'verify' 'json' 'h/help'
        case 'swap'
            __memx-bench_parse_subcommand 0 'workload=' 'size=' 'processes=' 'passes=' 'seed=' 'huge-pages' 'compressible' 'force' 'json' 'h/help'
        case 'userfault'
            __memx-bench_parse_subcommand 0 'case=' 'pages=' 'runs=' 'seed=' 'json' 'h/help'
        case 'postcopy'
            __memx-bench_parse_subcommand 0 'workload=' 'trace=' 'strategy=+' 'order=' 'processes=' 'memory=' 'rate-mb-s=+' 'mtu=' 'runs=' 'stop-at=' 'rounds=' 'work-us=' 'seed=' 'timeout=' 'json' 'h/help'
        case 'simulate'
            __memx-bench_parse_subcommand 0 'workload=' 'trace=' 'strategy=+' 'order=' 'processes=' 'memory=' 'guests=' 'rate-mb-s=+' 'latency-us=' 'loss=' 'mtu=' 'cores=' 'step-us=' 'stop-at=' 'rounds=' 'seed=' 'until-s=' 'json' 'h/help'
        case 'help'
            __memx-bench_parse_subcommand -r 1 
        end
    end
end

function __memx-bench_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __memx-bench_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __memx-bench_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __memx-bench_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__memx-bench_tokens -p)
    if test -z "$(__memx-bench_tokens -t)"
        set -l index (count (__memx-bench_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'memx-bench' -f
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'rmap' -d 'Drives a memory server from user mode and reports pages/s and latency.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'swap' -d 'Runs memory-hungry workloads against whatever swap this machine has.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'userfault' -d 'Compares the service of page faults with its floor in plain C.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'postcopy' -d 'Moves running programs by post-copy, and compares prepaging strategies.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'simulate' -d 'Simulates the post-copy of many guests, and compares prepaging strategies.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_positional "memx-bench" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" link' -l 'link' -d 'Ethernet interface that leads to the server, or rdma:ADDRESS[:PORT] with the server\'s IP address.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" server' -l 'server' -d 'The server\'s Ethernet address; by default it is found by broadcast.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" region' -l 'region' -d 'Region to attach to.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" token' -l 'token' -d 'The region\'s token.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" case' -l 'case' -d 'randread, randwrite, seqread, seqwrite or push.' -rfka 'randread randwrite seqread seqwrite push'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" queue-depth' -l 'queue-depth' -d 'Requests outstanding at once, 1 to 512.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" mtu' -l 'mtu' -d 'Most bytes behind the Ethernet header; the interface\'s MTU by default.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" duration' -l 'duration' -d 'Seconds to measure.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" slots' -l 'slots' -d 'Use only the first so many slots of the region; all by default.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" seed' -l 'seed' -d 'Seed of the access order and of the pages\' contents.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" busy-poll-us' -l 'busy-poll-us' -d 'Poll for replies so long before sleeping, in microseconds.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" timeout' -l 'timeout' -d 'Fail a request that has had no answer for so many seconds.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" server-pid' -l 'server-pid' -d 'Process id of a server on this machine, whose CPU time is reported too.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" one-sided' -l 'one-sided' -d 'Over RDMA: reach the region\'s memory directly, without the server\'s program; it needs layout=linear.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" sent-pushes' -l 'sent-pushes' -d 'Over RDMA: have pushes sent as messages, not written to buffers; a client without such is served so.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" fill' -l 'fill' -d 'Write random bytes to every slot first.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" verify' -l 'verify' -d 'Check every page read against what was last written there; implies --fill.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" json' -l 'json' -d 'Print one JSON object.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench rmap" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" workload' -l 'workload' -d 'What to run.' -rfka 'quicksort seqread seqwrite stride hash'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" size' -l 'size' -d 'Memory of all processes together, in bytes or with K, M, G, T: 64K at least for each.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" processes' -l 'processes' -d 'Processes that share the size, 1 to 512.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" passes' -l 'passes' -d 'How often to do the work, 1 to 1000000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" seed' -l 'seed' -d 'Seed of the data and of the order of accesses.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" huge-pages' -l 'huge-pages' -d 'Let the kernel back the memory with huge pages.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" compressible' -l 'compressible' -d 'Use data that shrinks to a third or less where swap is compressed (zram, zswap); by default it does not shrink.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" force' -l 'force' -d 'Run even if memory and swap are too small for the size.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" json' -l 'json' -d 'Print one JSON object.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench swap" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" case' -l 'case' -d 'touch or batch; both by default.' -rfka 'touch batch'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" pages' -l 'pages' -d 'Pages of a run, 1024 to 1048576.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" runs' -l 'runs' -d 'Runs of each system, 1 to 101.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" seed' -l 'seed' -d 'Seed of the order of touches.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" json' -l 'json' -d 'Print one JSON object for each case and system.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench userfault" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" workload' -l 'workload' -d 'What to run.' -rfka 'sequential sequential-write quicksort stride zipf hash chase trace hotcold random'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" trace' -l 'trace' -d 'The recorded program that the workload trace replays.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'trace\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy"' -l 'strategy' -d 'Which page goes next; several may be given. By default all of the paper\'s, each also with the LRU order, and streams.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" order' -l 'order' -d 'What strategies with +lru are told: lru, in which order the programs had used their pages before they stopped; or touched, in which order each touched its pages after the stop in an earlier move, for which postcopy makes one. [default: touched for replay+lru, lru for the others]' -rfka 'lru touched'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" processes' -l 'processes' -d 'Processes that share the memory, 1 to 512.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" memory' -l 'memory' -d 'Memory of all processes together, in bytes or with K, M, G: 64K at least for each, 16G at most. A trace brings its own.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy"' -l 'rate-mb-s' -d 'What the link carries, in millions of bytes a second, 0 for no limit; several may be given.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" mtu' -l 'mtu' -d 'MTU of the links, 1500 or 9000, say.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" runs' -l 'runs' -d 'Runs of each strategy at each rate, 1 to 101.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" stop-at' -l 'stop-at' -d 'The part of their work, filling memory aside, after which programs move: 0 to below 1.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" rounds' -l 'rounds' -d 'How often programs do their work, 1 to 1000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" work-us' -l 'work-us' -d 'Arithmetic besides the use of memory, in microseconds: at each step, or for each 4000 instructions of a trace; 0 to 100. Quicksort has none.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" seed' -l 'seed' -d 'Seed of the data and of the order of accesses.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" timeout' -l 'timeout' -d 'Ends a run that takes so many seconds, 1 to 86400.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" json' -l 'json' -d 'Print one JSON object for each strategy and rate.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench postcopy" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" workload' -l 'workload' -d 'What to run.' -rfka 'sequential sequential-write quicksort stride zipf hash chase trace hotcold random'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" trace' -l 'trace' -d 'The recorded program that the workload trace replays.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'trace\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate"' -l 'strategy' -d 'Which page goes next; several may be given. By default all of the paper\'s, each also with the LRU order, and streams.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" order' -l 'order' -d 'What strategies with +lru are told: lru, in which order the programs had used their pages before they stopped; or touched, in which order each touched its pages after the stop in an earlier move, for which postcopy makes one. [default: touched for replay+lru, lru for the others]' -rfka 'lru touched'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" processes' -l 'processes' -d 'Programs in each guest, which share its memory: 1 to 512.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" memory' -l 'memory' -d 'Memory of each guest, in bytes or with K, M, G, T: 64K at least for each program, 1T at most; 16G at most for what has to be run, and for strategies with +lru.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" guests' -l 'guests' -d 'Guests that moved at the same moment, 1 to 4096.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate"' -l 'rate-mb-s' -d 'What the link carries each way, in millions of bytes a second, 1 to 12500; several may be given.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" latency-us' -l 'latency-us' -d 'One way, hosts included, in microseconds, 0 to 1000000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" loss' -l 'loss' -d 'Frames lost, per cent, 0 to 50.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" mtu' -l 'mtu' -d 'MTU of the link, 1416 to 9000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" cores' -l 'cores' -d 'Processor cores of each guest, 1 to 512.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" step-us' -l 'step-us' -d 'How long a step of a program takes, a page or two of work; for a trace, 3000 instructions: in microseconds, 0.001 to 1000000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" stop-at' -l 'stop-at' -d 'The part of their work, filling memory aside, after which programs have moved: 0 to below 1.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" rounds' -l 'rounds' -d 'How often programs do their work, 1 to 1000.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" seed' -l 'seed' -d 'Seed of the order of accesses and of what the network does by chance.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" until-s' -l 'until-s' -d 'Ends the simulation after so many simulated seconds; by default when every page has come and every program is done.' -rfka ''
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" json' -l 'json' -d 'Print one JSON object for each strategy and rate.'
complete -c 'memx-bench' -n '__memx-bench_should_offer_completions_for_flags_or_options "memx-bench simulate" h help' -s 'h' -l 'help' -d 'Show help information.'
