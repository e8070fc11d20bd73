import AerieJSON

/// What XGBoost's two encodings have in common: a tree of objects and arrays, read by asking for what comes next.
protocol ModelDocument {
    /// The place of the next byte, from the beginning of the file.
    var offset: Int { get }
    mutating func beginObject() throws(ModelFileError)
    /// The next key, or `nil` at the object's end, which is read too.
    mutating func nextKey() throws(ModelFileError) -> String?
    mutating func beginArray() throws(ModelFileError)
    mutating func nextElement() throws(ModelFileError) -> Bool
    mutating func readString() throws(ModelFileError) -> String
    /// A whole array of numbers; a boolean counts as 0 or 1.
    mutating func readInts() throws(ModelFileError) -> [Int32]
    mutating func readFloats() throws(ModelFileError) -> [Float]
    /// True if the next value is a string.
    mutating func nextIsString() throws(ModelFileError) -> Bool
    mutating func skipValue() throws(ModelFileError)
    mutating func end() throws(ModelFileError)
}

/// The JSON encoding, by AerieJSON's reader.
struct JSONModelDocument: ModelDocument {
    private var reader: JSONReader
    init(_ bytes: UnsafeRawBufferPointer) { reader = JSONReader(bytes, allowsNonFinite: true) }

    var offset: Int { reader.offset }

    mutating func beginObject() throws(ModelFileError) {
        do throws(JSONError) { try reader.beginObject() } catch { throw ModelFileError(error) }
    }

    mutating func nextKey() throws(ModelFileError) -> String? {
        do throws(JSONError) {
            guard let key = try reader.nextKey() else { return nil }
            return try reader.string(key)
        } catch { throw ModelFileError(error) }
    }

    mutating func beginArray() throws(ModelFileError) {
        do throws(JSONError) { try reader.beginArray() } catch { throw ModelFileError(error) }
    }

    mutating func nextElement() throws(ModelFileError) -> Bool {
        do throws(JSONError) { return try reader.nextElement() } catch { throw ModelFileError(error) }
    }

    mutating func readString() throws(ModelFileError) -> String {
        do throws(JSONError) { return try reader.readString() } catch { throw ModelFileError(error) }
    }

    mutating func readInts() throws(ModelFileError) -> [Int32] {
        var result: [Int32] = []
        do throws(JSONError) {
            try reader.beginArray()
            while try reader.nextElement() {
                if try reader.peek() == .bool {
                    result.append(try reader.readBool() ? 1 : 0)
                    continue
                }
                let start = reader.offset
                let value = try reader.readInt()
                guard let narrow = Int32(exactly: value) else {
                    throw JSONError(offset: start, problem: "\(value) does not fit in 32 bits")
                }
                result.append(narrow)
            }
        } catch { throw ModelFileError(error) }
        return result
    }

    mutating func readFloats() throws(ModelFileError) -> [Float] {
        var result: [Float] = []
        do throws(JSONError) {
            try reader.beginArray()
            while try reader.nextElement() { result.append(try reader.readFloat()) }
        } catch { throw ModelFileError(error) }
        return result
    }

    mutating func nextIsString() throws(ModelFileError) -> Bool {
        do throws(JSONError) { return try reader.peek() == .string } catch { throw ModelFileError(error) }
    }

    mutating func skipValue() throws(ModelFileError) {
        do throws(JSONError) { try reader.skipValue() } catch { throw ModelFileError(error) }
    }

    mutating func end() throws(ModelFileError) {
        do throws(JSONError) { try reader.end() } catch { throw ModelFileError(error) }
    }
}
