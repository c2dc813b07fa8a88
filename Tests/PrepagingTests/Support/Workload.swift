// SPDX-License-Identifier: Apache-2.0
import Glibc
import Prepaging

/// A program's visit to a page: it computes for `us` once the page is there.
struct Touch {
  var slot: Int32
  var us: Float
}

/// What the processes of a guest still do after it moved, and what the source knew when it moved.
struct Workload {
  var name: String
  var slots: Int
  /// Each process's touches after the move.
  var processes: [[Touch]]
  /// Slots in LRU order at the move, youngest first.
  var order: [SlotRange]

  /// Cuts whole runs in two at the move.
  ///
  /// - Parameter cut: how much of each process's run, by touches, lies before the move.
  init(_ name: String, slots: Int, runs: [[Touch]], cut: [Double]) {
    self.name = name
    self.slots = slots
    processes = []
    var ages = [Float](repeating: .infinity, count: slots)
    for (run, cut) in zip(runs, cut) {
      let middle = Int(Double(run.count) * cut)
      processes.append(Array(run[middle...]))
      var age: Float = 0
      for touch in run[..<middle].reversed() {
        age += touch.us
        ages[Int(touch.slot)] = min(ages[Int(touch.slot)], age)
      }
    }
    let generations = ages.map { $0.isFinite ? Int(max(0, log2($0 / 1000))) : 99 }
    let byAge = ages.indices.filter { generations[$0] < 99 }.sorted {
      (generations[$0], $0) < (generations[$1], $1)
    }
    order = []
    for slot in byAge {
      if let last = order.last, last.first + last.count == slot {
        order[order.count - 1].count += 1
      } else {
        order.append(SlotRange(first: slot, count: 1))
      }
    }
  }
}

extension Workload {
  /// The paper's stress test: one process walks its working set again and again.
  static func sequential(slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    let run = (0..<slots * 3).map { Touch(slot: Int32($0 % slots), us: 10) }
    return Workload("sequential", slots: slots, runs: [run], cut: [random.within(0.35...0.65)])
  }

  /// The paper's Figure 17: processes that sort their share of the memory.
  static func quicksort(processes: Int, slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    let share = slots / processes
    var runs: [[Touch]] = []
    for process in 0..<processes {
      var run: [Touch] = []
      let first = process * share
      sort(first..<first + share, &run, &random)
      runs.append(run)
    }
    let cut = runs.map { _ in random.within(0.2...0.6) }
    return Workload("quicksort-\(processes)", slots: slots, runs: runs, cut: cut)
  }

  /// Hoare's partition: two pointers that run towards each other; then each part, the left one
  /// first.
  private static func sort(
    _ range: Range<Int>, _ run: inout [Touch], _ random: inout SeededRandom
  ) {
    guard range.count > 1 else {
      // Within a page: ten more levels of partition.
      run.append(Touch(slot: Int32(range.lowerBound), us: 50))
      return
    }
    let split = min(range.count - 1, max(1, Int(Double(range.count) * random.within(0.2...0.8))))
    let middle = range.lowerBound + split
    var (left, right) = (range.lowerBound, range.upperBound - 1)
    while left < middle || right >= middle {
      let leftDone = Double(left - range.lowerBound) / Double(split)
      let rightDone = Double(range.upperBound - 1 - right) / Double(range.count - split)
      if leftDone <= rightDone {
        run.append(Touch(slot: Int32(left), us: 5))
        left += 1
      } else {
        run.append(Touch(slot: Int32(right), us: 5))
        right -= 1
      }
    }
    sort(range.lowerBound..<middle, &run, &random)
    sort(middle..<range.upperBound, &run, &random)
  }

  static func stride(_ stride: Int, slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    var run: [Touch] = []
    for _ in 0..<2 {
      for start in 0..<stride {
        for slot in Swift.stride(from: start, to: slots, by: stride) {
          run.append(Touch(slot: Int32(slot), us: 40))
        }
      }
    }
    return Workload("stride-\(stride)", slots: slots, runs: [run], cut: [random.within(0.3...0.7)])
  }

  /// Four processes whose accesses follow Zipf's law over pages that lie anywhere.
  static func zipf(slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    let places = Array(0..<slots).shuffled(using: &random)
    var sums = [Double](repeating: 0, count: slots)
    var sum = 0.0
    for rank in 0..<slots {
      sum += 1 / Double(rank + 1)
      sums[rank] = sum
    }
    return mixed("zipf", slots: slots, &random) { random in
      let point = random.within(0...sum)
      var low = 0
      var high = slots - 1
      while low < high {
        let middle = (low + high) / 2
        if sums[middle] < point { low = middle + 1 } else { high = middle }
      }
      return places[low]
    }
  }

  /// Nine in ten accesses go to a tenth of the pages, which lie in chunks of 32.
  static func hotCold(slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    let chunks = Array(0..<slots / 32).shuffled(using: &random)
    return mixed("hot-cold", slots: slots, &random) { random in
      let hot = random.below(10) != 0
      let chunk = hot ? chunks[random.below(chunks.count / 10)] : chunks[random.below(chunks.count)]
      return chunk * 32 + random.below(32)
    }
  }

  static func random(slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    return mixed("random", slots: slots, &random) { $0.below(slots) }
  }

  private static func mixed(
    _ name: String, slots: Int, _ random: inout SeededRandom,
    _ slot: (inout SeededRandom) -> Int
  ) -> Workload {
    var runs: [[Touch]] = []
    for _ in 0..<4 {
      var run: [Touch] = []
      for _ in 0..<slots { run.append(Touch(slot: Int32(slot(&random)), us: 40)) }
      runs.append(run)
    }
    return Workload(name, slots: slots, runs: runs, cut: [0.5, 0.5, 0.5, 0.5])
  }

  /// One process that follows pointers round a random cycle through every page, twice.
  static func pointerChase(slots: Int, seed: UInt64) -> Workload {
    var random = SeededRandom(seed: seed)
    let cycle = Array(0..<slots).shuffled(using: &random).map { Touch(slot: Int32($0), us: 40) }
    return Workload("chase", slots: slots, runs: [cycle + cycle + cycle], cut: [0.45])
  }
}
