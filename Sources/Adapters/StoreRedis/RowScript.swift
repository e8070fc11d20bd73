import AerieCore
import AerieWire
import Crypto
import Features

/// Compares the time of a row with what is there and writes it, in one step on the server.
enum RowScript {
    /// A number of ten bytes is negative; it is counted by its complement, as a number here is exact to 53 bits only.
    ///
    /// KEYS: a hash for each row. ARGV: the fields of the time and of the time of writing; then for each row its time,
    /// its time of writing ("" if it is not known), the count of the words that follow, and its fields and values.
    /// Gives how many rows it has written.
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
        local at, written = 3, 0
        for k = 1, #KEYS do
          local key, time, created, count = KEYS[k], ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
          local old = redis.call('HGET', key, ARGV[1])
          local isNewer = true
          if old then
            local os, on = moment(old)
            local ns, nn = moment(time)
            if os > ns or (os == ns and on > nn) then
              isNewer = false
            elseif os == ns and on == nn then
              local oc = tonumber(redis.call('HGET', key, ARGV[2]) or '0')
              isNewer = oc <= (tonumber(created) or 0)
            end
          end
          if isNewer then
            if created ~= '' then
              redis.call('HSET', key, ARGV[1], time, ARGV[2], created, unpack(ARGV, at + 3, at + 2 + count))
            else
              if old then redis.call('HDEL', key, ARGV[2]) end
              redis.call('HSET', key, ARGV[1], time, unpack(ARGV, at + 3, at + 2 + count))
            end
            written = written + 1
          end
          at = at + 3 + count
        end
        return written
        """

    /// The name by which a server knows the script: SHA-1 in hexadecimal.
    static let digest = Array(Hexadecimal.encode(Insecure.SHA1.hash(data: Array(text.utf8))).utf8)

    /// A call for some rows, by the script's digest or by its text.
    static func command(
        _ rows: some Collection<OnlineRow>, _ view: OnlineView, isText: Bool = false
    ) -> RedisCommand {
        var words = 3 + rows.count + 2
        for row in rows { words += 3 + 2 * row.values.count(where: { $0 != nil }) }
        var command = RedisCommand(count: words)
        if isText { command.append("EVAL".utf8) } else { command.append("EVALSHA".utf8) }
        if isText { command.append(text.utf8) } else { command.append(digest) }
        command.append(number: Int64(rows.count))
        let project = Array(view.project.utf8)
        for row in rows { command.append(row.key + project) }
        command.append(RedisOnlineStore.timeField(view))
        command.append(RedisOnlineStore.createdField(view))
        var writer = ProtobufWriter()
        for row in rows {
            command.append(moment(row.time))
            if row.created == 0 { command.append([UInt8]()) } else { command.append(number: row.created) }
            command.append(number: Int64(2 * row.values.count(where: { $0 != nil })))
            for (field, value) in zip(view.fields, row.values) {
                guard let value else { continue }
                withUnsafeBytes(of: field.littleEndian) { command.append($0) }
                writer.clear()
                value.write(to: &writer)
                command.append(writer.bytes)
            }
        }
        return command
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
            do throws(AerieError) { return .success(try time(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    static func time(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> Int64 {
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
        return overflow ? (seconds < 0 ? .min : .max) : micros &+ nanos / 1000
    }
}
