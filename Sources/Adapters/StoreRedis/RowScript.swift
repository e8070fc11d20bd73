import AerieCore
import AerieWire
import Crypto
import Features

/// Compares the time of a row with what is there and writes it, in one step on the server.
enum RowScript {
    /// A number of ten bytes is negative; it is counted by its complement, as a number here is exact to 53 bits only.
    ///
    /// KEYS: the hash. ARGV: field and new value of the time, field and new number of the time of writing ("" if it is
    /// not known), then fields and values. Gives 1 if it has written.
    static let text = """
        local function moment(b)
          local s, n, i = 0, 0, 1
          while i <= #b do
            local tag = string.byte(b, i)
            i = i + 1
            local v, w, m, k = 0, 0, 1, 0
            repeat
              local c = string.byte(b, i)
              i = i + 1
              k = k + 1
              if k < 10 then
                v = v + (c % 128) * m
                w = w + (127 - c % 128) * m
              end
              m = m * 128
            until c < 128
            if k == 10 then v = -w - 1 end
            if tag == 8 then s = v elseif tag == 16 then n = v end
          end
          return s, n
        end
        local old = redis.call('HGET', KEYS[1], ARGV[1])
        if old then
          local os, on = moment(old)
          local ns, nn = moment(ARGV[2])
          if os > ns or (os == ns and on > nn) then return 0 end
          if os == ns and on == nn then
            local oc = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or '0')
            if oc > (tonumber(ARGV[4]) or 0) then return 0 end
          end
        end
        local words = {ARGV[1], ARGV[2]}
        if ARGV[4] == '' then
          redis.call('HDEL', KEYS[1], ARGV[3])
        else
          words[3] = ARGV[3]
          words[4] = ARGV[4]
        end
        for i = 5, #ARGV do words[#words + 1] = ARGV[i] end
        redis.call('HSET', KEYS[1], unpack(words))
        return 1
        """

    /// The name by which a server knows the script: SHA-1 in hexadecimal.
    static let digest = Array(Hexadecimal.encode(Insecure.SHA1.hash(data: Array(text.utf8))).utf8)

    /// What follows the script in `EVAL` and `EVALSHA`.
    static func words(_ row: OnlineRow, _ view: OnlineView, _ name: [UInt8]) -> [[UInt8]] {
        var words: [[UInt8]] = [
            [UInt8(ascii: "1")], name, RedisOnlineStore.timeField(view), moment(row.time),
            RedisOnlineStore.createdField(view), row.created == 0 ? [] : Array("\(row.created)".utf8),
        ]
        for (field, value) in zip(view.fields, row.values) {
            if let value { words += [RedisOnlineStore.field(field), value.protobuf] }
        }
        return words
    }

    /// `google.protobuf.Timestamp`: seconds (1) and nanoseconds (2), zeros left out.
    static func moment(_ micros: Int64) -> [UInt8] {
        var (seconds, rest) = micros.quotientAndRemainder(dividingBy: 1_000_000)
        if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000) }
        var writer = ProtobufWriter()
        if seconds != 0 { writer.field(1, varint: UInt64(bitPattern: seconds)) }
        if rest != 0 { writer.field(2, varint: UInt64(rest * 1000)) }
        return writer.bytes
    }

    /// Microseconds since 1970.
    static func time(_ bytes: [UInt8]) throws(AerieError) -> Int64 {
        let result: Result<Int64, AerieError> = bytes.withUnsafeBytes { bytes in
            do throws(AerieError) {
                var reader = ProtobufReader(bytes)
                var (seconds, nanos): (Int64, Int64) = (0, 0)
                while let field = try reader.next() {
                    switch (field.number, field.wire) {
                    case (1, 0): seconds = Int64(bitPattern: try reader.varint())
                    case (2, 0): nanos = Int64(bitPattern: try reader.varint())
                    default: try reader.skip(field)
                    }
                }
                let (micros, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
                return .success(overflow ? (seconds < 0 ? .min : .max) : micros &+ nanos / 1000)
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}
