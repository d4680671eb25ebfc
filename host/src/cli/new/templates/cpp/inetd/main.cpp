// Asks who is there, and repeats what they say until they say bye.
//
// A plain program: standard input and output are the connection, standard error is the log.

#include <cstdlib>
#include <iostream>
#include <string>

// The text without the spaces around it.
static std::string trimmed(const std::string &text) {
    constexpr const char *spaces = " \t\v\f\r";
    std::size_t begin = text.find_first_not_of(spaces);
    return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

int main() {
    if (const char *peer = std::getenv("REMOTE_ADDR"))
        std::cerr << "a client at " << peer << std::endl;

    std::string line;
    std::cout << "Hello! Who are you?" << std::endl;
    if (!std::getline(std::cin, line))
        return std::cin.bad();
    std::string name = trimmed(line);
    if (name.empty())
        name = "stranger";
    std::cout << "Nice to meet you, " << name << "! Say something, or bye." << std::endl;

    while (std::getline(std::cin, line)) {
        line = trimmed(line);
        if (line == "bye") {
            std::cout << "Bye, " << name << "!" << std::endl;
            break;
        }
        std::cout << name << " says: " << line << std::endl;
    }
    return std::cin.bad() || !std::cout;
}
